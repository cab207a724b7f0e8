// residue explain: all that is known of one address.
#include "analyzer/explain.h"

#include <charconv>

#include "cli/analysis.h"
#include "cli/table.h"
#include "formats/base/text.h"

namespace residue {
namespace {

Result<Address> parse_address(const std::string& text) {
  const bool is_hex = text.starts_with("0x") || text.starts_with("0X");
  const char* first = text.data() + (is_hex ? 2 : 0);
  const char* last = text.data() + text.size();
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(first, last, value, is_hex ? 16 : 10);
  if (error != std::errc() || end != last || first == last) {
    return Error{ErrorCode::kUsage, "'" + text + "' is not an address (0x… or decimal)", {}};
  }
  return Address(value);
}

}  // namespace

Result<int> run_explain(const Options& options, Streams streams) {
  RESIDUE_ASSIGN(const Address address, parse_address(options.arguments[1]));
  RESIDUE_ASSIGN(const auto analysis,
                 analyze_dump(options.arguments[0], options, /*want_evidence=*/true, streams.err));
  const auto lines = explain(analysis->image, analysis->symbolizer.get(), analysis->snapshot,
                             analysis->evidence, address);
  if (options.format == OutputFormat::kTable) {
    std::string topic;
    for (const ExplainLine& line : lines) {
      const std::string shown = line.topic == topic ? "" : line.topic;
      streams.out << shown << std::string(10 - std::min<size_t>(9, shown.size()), ' ')
                  << printable(line.text) << "\n";
      topic = line.topic;
    }
    return kExitDone;
  }
  TextTable table({"topic", "text"});
  for (const ExplainLine& line : lines) table.add({line.topic, line.text});
  Renderer renderer(streams.out, options.format);
  table.print(renderer);
  return kExitDone;
}

}  // namespace residue
