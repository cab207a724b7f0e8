// The subcommands. Each returns the exit code of the contract, or an error that run() in main.cpp
// turns into a message and a code.
#pragma once

#include <ostream>

#include "cli/options.h"
#include "formats/base/result.h"

namespace residue {

inline constexpr int kExitDone = 0;
inline constexpr int kExitBreached = 1;  // a gate (--fail-on)
inline constexpr int kExitUsage = 2;
inline constexpr int kExitInput = 3;     // not readable as any known dump or database
inline constexpr int kExitInternal = 4;  // a bug, or a result that could not be written

struct Streams {
  std::ostream& out;
  std::ostream& err;
};

Result<int> run_analyze(const Options& options, Streams streams);
Result<int> run_info(const Options& options, Streams streams);
Result<int> run_stacks(const Options& options, Streams streams);
Result<int> run_leaks(const Options& options, Streams streams);
Result<int> run_explain(const Options& options, Streams streams);
Result<int> run_diff(const Options& options, Streams streams);
Result<int> run_forget(const Options& options, Streams streams);
Result<int> run_trend(const Options& options, Streams streams);
Result<int> run_query(const Options& options, Streams streams);
Result<int> run_symbols(const Options& options, Streams streams);

// The code that an error ends the program with.
int exit_code(const Error& error);

}  // namespace residue
