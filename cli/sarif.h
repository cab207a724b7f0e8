// SARIF 2.1.0 (OASIS, with errata 01): the findings as one run of one tool, for code scanning.
//
// Results: rule 'leak', 'heap-corruption', 'unverified-heap', 'growth', and 'gate' for each rule
// of --fail-on that was breached. A finding is an error if a breached gate is about it, else a
// warning. Its place is the file and line if they are known, else type and module as logical
// locations; the dump is the analysis target. partialFingerprints are the same from run to run
// and for every layout of the address space. The document is valid UTF-8 whatever the dump held.
#pragma once

#include <ostream>

#include "cli/gate_report.h"

namespace residue {

void write_sarif(const Report& report, std::ostream& out);

}  // namespace residue
