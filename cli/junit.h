// JUnit XML, as build servers read it: a testsuite for each dump, a testcase for each rule of
// --fail-on; without rules one for each check (leaks, corruption, damage, heaps).
//
// There is no specification; this keeps to what Ant's and Jenkins' readers share: testsuites,
// testsuite (name, tests, failures, errors, skipped), properties, testcase (classname, name) with
// failure, error or skipped. The document is well-formed whatever bytes the dump held: what XML 1.0
// cannot hold is replaced.
#pragma once

#include <ostream>
#include <string>
#include <string_view>

#include "cli/gate_report.h"

namespace residue {

void write_junit(const Report& report, std::ostream& out);

// Text for an element or, in double quotes, an attribute.
std::string xml_text(std::string_view text);

}  // namespace residue
