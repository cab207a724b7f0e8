// residue query: SQL over a dump or a database.
#include "db/query.h"

#include "cli/demand.h"
#include "cli/source.h"

namespace residue {
namespace {

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
  if (options.format != OutputFormat::kJson) {
    RESIDUE_TRY(query(*source.database, options.arguments[1], renderer));
    return kExitDone;
  }
  OneResult result(&renderer);
  RESIDUE_TRY(query(*source.database, options.arguments[1], result));
  result.finish();
  return kExitDone;
}

}  // namespace residue
