// residue: the command line. Parses, dispatches, and turns errors into messages and exit codes.
#include <cstdlib>
#include <exception>
#include <iostream>
#include <new>

#include "cli/commands.h"
#include "cli/options.h"
#include "cli/version.h"
#include "formats/base/text.h"

namespace residue {

namespace {

Result<int> dispatch(const Options& options, Streams streams) {
  if (options.command == "version") {
    streams.out << "residue " << kVersion << "\n";
    return kExitDone;
  }
  if (options.command == "help") {
    RESIDUE_ASSIGN(const std::string text,
                   help_text(options.arguments.empty() ? "" : options.arguments[0]));
    streams.out << text;
    return kExitDone;
  }
  if (options.command == "completion") {
    streams.out << completion_script();
    return kExitDone;
  }
  if (options.command == "analyze") return run_analyze(options, streams);
  if (options.command == "info") return run_info(options, streams);
  if (options.command == "stacks") return run_stacks(options, streams);
  if (options.command == "leaks") return run_leaks(options, streams);
  if (options.command == "explain") return run_explain(options, streams);
  if (options.command == "diff") return run_diff(options, streams);
  if (options.command == "forget") return run_forget(options, streams);
  if (options.command == "trend") return run_trend(options, streams);
  if (options.command == "query") return run_query(options, streams);
  if (options.command == "symbols") return run_symbols(options, streams);
  return Error{ErrorCode::kInternal, "command '" + options.command + "' is not wired", {}};
}

int run(int argc, const char* const* argv) {
  const Streams streams{std::cout, std::cerr};
  auto options = parse_options(argc, argv);
  Result<int> result = options ? dispatch(*options, streams) : std::move(options).error();
  streams.out.flush();
  if (!result) {
    streams.err << "residue: " << printable(to_string(result.error())) << "\n";
    return exit_code(result.error());
  }
  if (!streams.out) {
    streams.err << "residue: standard output: cannot be written\n";
    return kExitInternal;
  }
  return *result;
}

}  // namespace
}  // namespace residue

int main(int argc, char** argv) {
  std::ios::sync_with_stdio(false);
  try {
    return residue::run(argc, argv);
  } catch (const std::bad_alloc&) {
    std::cerr << "residue: out of memory\n";
  } catch (const std::exception& error) {
    std::cerr << "residue: internal error: " << error.what() << "\n";
  }
  return residue::kExitInternal;
}
