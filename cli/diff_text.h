// The report of `residue diff` for people: what is compared, totals, and a table a dimension.
#pragma once

#include <map>
#include <ostream>
#include <string>
#include <vector>

#include "cli/table.h"
#include "db/diff.h"

namespace residue {

// Which process, when, how the snapshots are compared; a table of totals; and, where that explains
// most of the growth, what the allocator keeps.
void print_diff_header(const Totals& before, const Totals& after, const DiffRequest& request,
                       const Kinship& kinship, std::ostream& out);

// "1 d 2 h", "3 min 4 s", "5 s": the time from one ISO 8601 time to another; empty if either is not
// one.
std::string time_between(const std::string& from, const std::string& to);

// The sentence on memory that the allocator holds and the program does not use; empty unless that
// grew by more than what is used, and by enough to matter.
std::string idle_memory_text(const Totals& before, const Totals& after);

// Takes the rows of changed_keys() and prints those of one dimension as a table.
class DimensionTables final : public RowSink {
 public:
  explicit DimensionTables(bool by_name) : by_name_(by_name) {}
  void begin(std::span<const std::string>) override {}
  bool row(std::span<const Cell> cells) override;
  void end() override {}

  bool empty() const { return tables_.empty(); }
  void print(const std::string& dimension, std::ostream& out) const;

 private:
  bool by_name_;
  std::map<std::string, TextTable> tables_;
};

}  // namespace residue
