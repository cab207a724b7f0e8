// residue query: SQL over a dump or a database.
#include "db/query.h"

#include <cctype>

#include "cli/gate.h"

namespace residue {
namespace {

// Whether a statement can see what keeps what, which takes up to half of an analysis: it names a
// column or table of it, or has a '*' other than that of count(*).
bool may_use_retained(const std::string& sql) {
  std::string plain;
  for (const char c : sql) {
    if (std::isspace(static_cast<unsigned char>(c)) != 0) continue;
    plain += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  for (const char* word : {"retain", "dominator", "suspect"}) {
    if (plain.find(word) != std::string::npos) return true;
  }
  for (size_t at = plain.find('*'); at != std::string::npos; at = plain.find('*', at + 1)) {
    if (at < 6 || plain.compare(at - 6, 8, "count(*)") != 0) return true;
  }
  return false;
}

// Passes rows on and counts them.
class CountRows final : public RowSink {
 public:
  explicit CountRows(RowSink* sink) : sink_(sink) {}
  void begin(std::span<const std::string> columns) override { sink_->begin(columns); }
  bool row(std::span<const Cell> cells) override {
    ++count_;
    return sink_->row(cells);
  }
  void end() override { sink_->end(); }
  uint64_t count() const { return count_; }

 private:
  RowSink* sink_;
  uint64_t count_ = 0;
};

// Several statements are one JSON document: their rows follow each other in one array.
class OneResult final : public RowSink {
 public:
  explicit OneResult(RowSink* sink) : sink_(sink) {}
  void begin(std::span<const std::string> columns) override {
    begun_ = true;
    sink_->begin(columns);
  }
  bool row(std::span<const Cell> cells) override { return sink_->row(cells); }
  void end() override {}
  void finish() {
    if (begun_) sink_->end();
  }

 private:
  RowSink* sink_;
  bool begun_ = false;
};

}  // namespace

Result<int> run_query(const Options& options, Streams streams) {
  RESIDUE_ASSIGN(Source source, open_source(options.arguments[0], options,
                                            may_use_retained(options.arguments[1]), streams));
  Renderer renderer(streams.out, options.format);
  OneResult one(&renderer);
  const bool json = options.format == OutputFormat::kJson;
  CountRows counted(json ? static_cast<RowSink*>(&one) : &renderer);
  RESIDUE_TRY(query(*source.database, options.arguments[1], counted));
  if (json) one.finish();
  GateInput input;
  input.current = {&*source.database, source.snapshot};
  input.rows = counted.count();
  return judge_gates(options, input, nullptr, options.arguments[0], false, streams.err).exit_code;
}

}  // namespace residue
