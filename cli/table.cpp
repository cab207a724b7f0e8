#include "cli/table.h"

namespace residue {

void TextTable::print(RowSink& sink) const {
  sink.begin(columns_);
  std::vector<Cell> cells;
  for (const std::vector<Value>& row : rows_) {
    cells.clear();
    for (const Value& value : row) {
      cells.push_back(std::visit(
          [](const auto& v) -> Cell {
            if constexpr (std::is_same_v<std::decay_t<decltype(v)>, std::string>) {
              return std::string_view(v);
            } else {
              return v;
            }
          },
          value));
    }
    if (!sink.row(cells)) return;
  }
  sink.end();
}

}  // namespace residue
