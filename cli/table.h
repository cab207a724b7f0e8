// TextTable: a few rows made in memory, printed through the same Renderer as query results.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "cli/render.h"
#include "db/row_sink.h"

namespace residue {

class TextTable {
 public:
  using Value = std::variant<std::monostate, int64_t, double, std::string>;

  explicit TextTable(std::vector<std::string> columns) : columns_(std::move(columns)) {}
  void add(std::vector<Value> row) { rows_.push_back(std::move(row)); }
  size_t size() const { return rows_.size(); }
  void print(RowSink& sink) const;

 private:
  std::vector<std::string> columns_;
  std::vector<std::vector<Value>> rows_;
};

inline int64_t as_cell(uint64_t value) { return static_cast<int64_t>(value); }

}  // namespace residue
