// Leaks as lines for people: what `analyze` and `leaks` print in tables.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "db/row_sink.h"

namespace residue {

// "1,000 × {Session, Request, 2 × 40 bytes} = 416 kB"; a long shape is cut, the bytes stay.
std::string leak_line(uint64_t count, std::string_view shape, uint64_t bytes);

// Passes rows on with their last two columns, count and shape, as one leak_line() with the bytes
// of the second column. REQUIRES: at least four columns.
class LeakLines final : public RowSink {
 public:
  explicit LeakLines(RowSink* sink) : sink_(sink) {}
  void begin(std::span<const std::string> columns) override;
  bool row(std::span<const Cell> cells) override;
  void end() override { sink_->end(); }

 private:
  RowSink* sink_;
};

// Passes on a result that has rows, and nothing of one that has none; `before` is called first.
class UnlessEmpty final : public RowSink {
 public:
  UnlessEmpty(RowSink* sink, std::function<void()> before)
      : sink_(sink), before_(std::move(before)) {}
  void begin(std::span<const std::string> columns) override {
    columns_.assign(columns.begin(), columns.end());
  }
  bool row(std::span<const Cell> cells) override;
  void end() override {
    if (begun_) sink_->end();
  }

 private:
  RowSink* sink_;
  std::function<void()> before_;
  std::vector<std::string> columns_;
  bool begun_ = false;
};

}  // namespace residue
