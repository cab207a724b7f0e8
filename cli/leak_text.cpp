#include "cli/leak_text.h"

#include "cli/cell_text.h"
#include "cli/units.h"

namespace residue {
namespace {

constexpr size_t kShapeWidth = 100;  // characters

uint64_t number(const Cell& cell) {
  const auto* value = std::get_if<int64_t>(&cell);
  return value == nullptr ? 0 : static_cast<uint64_t>(*value);
}

}  // namespace

std::string leak_line(uint64_t count, std::string_view shape, uint64_t bytes) {
  std::string line = count_text(count);
  line.append(" × ").append(cut_text(shape, kShapeWidth));
  return line.append(" = ").append(bytes_text(bytes));
}

void LeakLines::begin(std::span<const std::string> columns) {
  std::vector<std::string> shown(columns.begin(), columns.end() - 2);
  shown.emplace_back("leak");
  sink_->begin(shown);
}

bool LeakLines::row(std::span<const Cell> cells) {
  std::vector<Cell> shown(cells.begin(), cells.end() - 2);
  const auto* shape = std::get_if<std::string_view>(&cells.back());
  const std::string line =
      leak_line(number(cells[cells.size() - 2]), shape == nullptr ? std::string_view() : *shape,
                number(cells[1]));
  shown.emplace_back(std::string_view(line));
  return sink_->row(shown);
}

bool UnlessEmpty::row(std::span<const Cell> cells) {
  if (!begun_) {
    before_();
    sink_->begin(columns_);
    begun_ = true;
  }
  return sink_->row(cells);
}

}  // namespace residue
