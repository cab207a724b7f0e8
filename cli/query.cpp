// residue query: SQL over a dump or a database.
#include "db/query.h"

#include "cli/demand.h"
#include "cli/gate.h"
#include "cli/source.h"

namespace residue {
namespace {

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
  Wanted wanted;
  if (!is_database(options.arguments[0])) {
    RESIDUE_ASSIGN(wanted, wanted_by(options.arguments[1]));
  }
  RESIDUE_ASSIGN(Source source, open_source(options.arguments[0], options, wanted, streams));
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
