// What an analysis has to find out for somebody who reads certain tables and columns of it.
#pragma once

#include <set>
#include <string_view>

#include "analyzer/wanted.h"
#include "db/query_reads.h"
#include "formats/base/result.h"

namespace residue {

// What these columns show. A table or column that is not known here shows everything.
Wanted wanted_for(const std::set<ColumnRead>& reads);

// The same for SQL that has yet to run. kUsage if it could not: what is wrong with its text is
// known before a dump is read.
Result<Wanted> wanted_by(std::string_view sql);

}  // namespace residue
