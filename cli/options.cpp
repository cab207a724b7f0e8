#include "cli/options.h"

#include <algorithm>
#include <array>
#include <boost/program_options.hpp>
#include <charconv>

namespace residue {
namespace {

namespace po = boost::program_options;

struct Command {
  const char* name;
  const char* usage;
  const char* summary;
  size_t least, most;                // arguments
  std::vector<std::string> options;  // beside the global ones
  const char* details;
};

constexpr size_t kAny = 1000000;

const std::vector<Command>& commands() {
  static const std::vector<Command> kCommands = {
      {"analyze",
       "DUMP... [--db FILE] [--label TEXT] [--replace]",
       "the main job: walk the heaps, find what leaked and who owns the rest",
       1,
       kAny,
       {"db", "label", "replace", "limit", "no-retained", "references", "baseline"},
       "Prints a summary of each dump: its leaked clusters, what keeps the rest alive, suspects,\n"
       "types and owners. --no-retained leaves out what keeps what: it takes up to half of the\n"
       "time, and chunk.retained is then NULL. With --db every dump\n"
       "becomes a snapshot in the SQLite database FILE, which is created if it is missing; a dump\n"
       "that is already there is recognised, also a copy or a compressed one, and left as it is;\n"
       "with --replace it is stored anew under the same id. --limit N shows N rows per table (0:\n"
       "all).\n"
       "Who refers to whom is stored too, unless the snapshot would take more than 7 bytes a "
       "chunk;\n"
       "--references always stores it in any case, --references never leaves it out.\n"
       "With --format json, csv or tsv: one row per dump; sarif and junit: the findings.\n"
       "--fail-on RULE makes the exit code 1 if a dump breaches the rule. Growth is measured "
       "against\n"
       "--baseline (a snapshot of --db, FILE.db[@SNAPSHOT] or a dump); without it against the "
       "newest\n"
       "earlier snapshot in --db of the same process, else of the same program."},
      {"info",
       "DUMP",
       "what this file is: process, completeness, memory, heaps, modules, threads",
       1,
       1,
       {},
       "The memory table divides every byte of every mapping into exactly one category."},
      {"stacks",
       "DUMP [--tid N]",
       "every thread's stack, symbolized",
       1,
       1,
       {"tid", "limit"},
       "The crashed thread comes first, and threads with equal stacks are shown once. Each frame "
       "is\n"
       "found by call frame information; one that was found by less says by what: call_site (a\n"
       "frame that a tail call replaced), frame_pointer, or scan (a guess). Long stacks are shown\n"
       "with their innermost and outermost 100 frames; --limit N shows the innermost N (0: all).\n"
       "With --format json, csv or tsv: one row per frame, threads in the order of the dump."},
      {"leaks",
       "DUMP | DB[@SNAPSHOT]",
       "leaked clusters, largest first",
       1,
       1,
       {"limit", "baseline"},
       "One line is one shape of leak: how many there are, what one consists of, and the bytes of\n"
       "all; before it chunks and bytes of all, bytes of one, the module of the head's type, and "
       "the\n"
       "address of one head (for 'residue explain'). SNAPSHOT is an id or a label; without it the\n"
       "newest counts. Suppressed leaks are left out (--suppressions; docs/suppressions.md); in a\n"
       "database they are what they were when the dump was stored. With --baseline (a snapshot of "
       "the\n"
       "same database, FILE.db[@SNAPSHOT] or a dump) only leaks that it has not, or has fewer of."},
      {"explain",
       "DUMP ADDRESS",
       "all that is known of one address, and the path that keeps it",
       2,
       2,
       {},
       "ADDRESS is hexadecimal with 0x, or decimal. Shows region, chunk, type, content, referrers\n"
       "and the path from a root; of a chunk also its neighbours in memory, what it retains and "
       "what\n"
       "dominates it."},
      {"diff",
       "DB A B [--by DIMENSION | --chunks]",
       "what grew between two snapshots of a database",
       3,
       3,
       {"by", "chunks", "limit"},
       "A and B are ids or labels; 'latest' is the newest, 'latest-1' the one before it. Snapshots "
       "of\n"
       "one process are compared by address: new chunks were allocated since and are alive, gone\n"
       "ones were freed. Others are compared by name. DIMENSION is type, site, module, owner, "
       "heap,\n"
       "size, region, shape (of leaks), allocator (what it holds and nobody uses) or mapping; "
       "without\n"
       "it the table shows each in turn, and the other formats all rows. --chunks lists the "
       "chunks\n"
       "that are new, gone, resized or replaced. --limit N shows N rows per table (0: all)."},
      {"forget",
       "DB [SNAPSHOT...] [--older-than AGE] [--keep-last N] [--dry-run]",
       "deletes snapshots from a database and makes the file smaller",
       1,
       kAny,
       {"older-than", "keep-last", "dry-run"},
       "SNAPSHOT is an id or a label. AGE is a number of hours, days or weeks: 12h, 30d, 4w; it\n"
       "counts from when the dump was taken. --keep-last N keeps the newest N snapshots of each\n"
       "executable; with both options only what is older goes, and the newest N never do.\n"
       "Prints what was deleted; --dry-run only says what would be."},
      {"trend",
       "DB [--by DIMENSION] [--process P | --executable E] [--measure M]",
       "slopes over all snapshots of one process, or over the runs of one executable",
       1,
       1,
       {"by", "process", "executable", "measure", "limit"},
       "Of each process with three snapshots or more, what grows: most growth first, monotonic\n"
       "growth before all else. P is snapshot.process or a pid. With --executable every process\n"
       "that ran E counts as one point, its last snapshot. M is used_bytes (default), used_count,\n"
       "leaked_bytes or leaked_count. Slope is the median of the slopes of all pairs (Theil-Sen),\n"
       "fit the r2 of least squares; snapshots left of the bar in a line are warm-up and left out\n"
       "of both. Keys that stay level are not shown. --limit N shows N rows per table (0: all, "
       "and\n"
       "all processes). docs/trend.md tells how the verdict is made; the other formats give the\n"
       "rows of the table 'trend'."},
      {"query",
       "DUMP | DB SQL",
       "SQL over a dump directly, or over a database of snapshots",
       2,
       2,
       {},
       "Reading only. The tables stand in docs/schema.md, examples in docs/sql.md. Of a dump only\n"
       "that is found out which the statement reads. 'chunk' has one row per chunk:\n"
       "  residue query core \"SELECT state, count(*), sum(size) FROM chunk GROUP BY state\""},
      {"completion",
       "",
       "a script that completes commands and options in bash",
       0,
       0,
       {},
       "For this shell: source <(residue completion)"},
      {"symbols",
       "DUMP",
       "which debug files were found, and what would bring the missing ones",
       1,
       1,
       {},
       "One row per module and file: the binary, its debug information, dwz's common file, split\n"
       "DWARF, the symbol table. A file whose build-id or checksum differs is never used. "
       "Searched\n"
       "are --symbols, --exe, --sysroot, /usr/lib/debug and debuginfod's cache; with --debuginfod\n"
       "also the servers of DEBUGINFOD_URLS."},
  };
  return kCommands;
}

const Command* find_command(const std::string& name) {
  const auto& all = commands();
  const auto it =
      std::find_if(all.begin(), all.end(), [&](const Command& c) { return name == c.name; });
  return it == all.end() ? nullptr : &*it;
}

po::options_description global_options() {
  po::options_description options("Options for every command");
  options.add_options()  //
      ("symbols", po::value<std::vector<std::string>>()->value_name("DIR"),
       "search modules and debug files in DIR first (repeatable)")  //
      ("exe", po::value<std::string>()->value_name("FILE"),
       "the program that was dumped, if it is not at its recorded path")  //
      ("sysroot", po::value<std::string>()->value_name("DIR"),
       "look for modules below DIR instead of /")                               //
      ("debuginfod", "ask the servers of DEBUGINFOD_URLS for what is missing")  //
      ("suppressions", po::value<std::vector<std::string>>()->value_name("FILE"),
       "leaks to leave out, in LeakSanitizer's syntax (repeatable)")  //
      ("no-embedded-suppressions",
       "do not apply the program's own __lsan_default_suppressions()")  //
      ("format", po::value<std::string>()->value_name("NAME"),
       "table (default), json, csv or tsv; of analyze, leaks and diff also sarif or junit")  //
      ("fail-on", po::value<std::vector<std::string>>()->value_name("RULE"),
       "exit code 1 if RULE holds, such as 'leaked_bytes > 0' or 'growth(type) > 1MB' "
       "(repeatable; docs/gates.md)")  //
      ("jobs", po::value<unsigned>()->value_name("N"),
       "use N threads (default: one for each processor)")                  //
      ("quiet", "print no summary and no notes")                           //
      ("strict", "a damaged or truncated dump is an error (exit code 3)")  //
      ("no-progress", "no progress line on the terminal")                  //
      ("help", "this text")                                                //
      ("version", "the version");
  return options;
}

po::options_description command_options() {
  po::options_description options("Options of single commands");
  options.add_options()                                                                 //
      ("db", po::value<std::string>()->value_name("FILE"), "store into this database")  //
      ("label", po::value<std::string>()->value_name("TEXT"), "name of the snapshot")   //
      ("replace", "store a dump that is in the database already anew, under its id")    //
      ("older-than", po::value<std::string>()->value_name("AGE"),
       "only what was taken so long ago: 12h, 30d, 4w")  //
      ("keep-last", po::value<int64_t>()->value_name("N"),
       "not the newest N of each executable")                                          //
      ("dry-run", "say what would be done, and do nothing")                            //
      ("by", po::value<std::string>()->value_name("DIMENSION"), "one dimension only")  //
      ("chunks", "each chunk that is new, gone or changed")                            //
      ("tid", po::value<uint32_t>()->value_name("N"), "this thread only")              //
      ("no-retained", "do not find out what keeps what")                               //
      ("references", po::value<std::string>()->value_name("WHEN"),
       "store who refers to whom: auto (default), always or never")                //
      ("process", po::value<std::string>()->value_name("P"), "this process only")  //
      ("executable", po::value<std::string>()->value_name("E"),
       "the runs of this executable as one series")  //
      ("measure", po::value<std::string>()->value_name("M"),
       "used_bytes, used_count, leaked_bytes or leaked_count")  //
      ("baseline", po::value<std::string>()->value_name("SNAPSHOT"),
       "what growth and new leaks are measured against")  //
      ("limit", po::value<int64_t>()->value_name("N"), "show N rows (0: all)");
  return options;
}

Error usage_error(const std::string& message) {
  return Error{ErrorCode::kUsage, message + " (see 'residue help')", {}};
}

// "30d" as seconds; -1 if it is none.
int64_t parse_age(const std::string& text) {
  constexpr int64_t kHour = 3600;
  constexpr int64_t kMost = 1000000;  // a century in hours is less
  int64_t number = 0;
  const char* const end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, number);
  if (parsed.ec != std::errc() || parsed.ptr + 1 != end || number < 0 || number > kMost) return -1;
  switch (*parsed.ptr) {
    case 'h':
      return number * kHour;
    case 'd':
      return number * 24 * kHour;
    case 'w':
      return number * 7 * 24 * kHour;
    default:
      return -1;
  }
}

std::string text(const po::variables_map& values, const char* name) {
  return values.count(name) != 0 ? values[name].as<std::string>() : std::string();
}

Result<void> check_gates(const Options& options) {
  const std::string& command = options.command;
  const auto one_of = [&command](std::initializer_list<const char*> names) {
    return std::any_of(names.begin(), names.end(),
                       [&](const char* name) { return command == name; });
  };
  if (is_report(options.format) && !one_of({"analyze", "leaks", "diff"})) {
    return usage_error(command + " has no findings: --format sarif and junit are of analyze, " +
                       "leaks and diff");
  }
  if (options.gates.empty()) return {};
  if (!one_of({"analyze", "leaks", "diff", "trend", "query"})) {
    return usage_error(command + " has no gates: --fail-on is of analyze, leaks, diff, trend " +
                       "and query");
  }
  for (const GateRule& rule : options.gates) {
    const bool of_rows = rule.has(GateKind::kRows);
    if (of_rows == (command == "query") && !(of_rows && rule.has_other_than(GateKind::kRows))) {
      continue;
    }
    std::string message = "--fail-on '" + rule.text;
    return usage_error(message.append(command == "query" ? "': of a query only its rows are judged"
                                                         : "': rows are those of a query"));
  }
  return {};
}

Result<void> read_gates(const po::variables_map& values, Options* options) {
  options->baseline = text(values, "baseline");
  if (values.count("fail-on") == 0) return {};
  for (const std::string& rule : values["fail-on"].as<std::vector<std::string>>()) {
    RESIDUE_ASSIGN(GateRule parsed, parse_gate_rule(rule));
    options->gates.push_back(std::move(parsed));
  }
  return {};
}

Result<void> check_arguments(const Options& options, const po::variables_map& values) {
  const Command* command = find_command(options.command);
  if (command == nullptr) return usage_error("unknown command '" + options.command + "'");
  const std::string usage =
      std::string(" (usage: residue ") + command->name + " " + command->usage + ")";
  if (options.arguments.size() < command->least || options.arguments.size() > command->most) {
    return Error{ErrorCode::kUsage,
                 options.arguments.size() < command->least ? "too few arguments" + usage
                                                           : "too many arguments" + usage,
                 {}};
  }
  const po::options_description known = command_options();
  for (const auto& option : known.options()) {
    const std::string& name = option->long_name();
    const bool allowed =
        std::find(command->options.begin(), command->options.end(), name) != command->options.end();
    if (values.count(name) != 0 && !allowed) {
      std::string message = options.command;
      message.append(" has no option --").append(name).append(usage);
      return Error{ErrorCode::kUsage, std::move(message), {}};
    }
  }
  if (!options.label.empty() && options.arguments.size() > 1) {
    return usage_error("--label names one snapshot, but several dumps are given");
  }
  if (!options.label.empty() && options.database.empty()) {
    return usage_error("--label needs --db");
  }
  if (options.replace && options.database.empty()) return usage_error("--replace needs --db");
  return check_gates(options);
}

Result<Options> fill(const po::variables_map& values) {
  Options options;
  if (values.count("words") != 0) {
    options.arguments = values["words"].as<std::vector<std::string>>();
  }
  if (values.count("version") != 0) {
    options.command = "version";
    return options;
  }
  if (options.arguments.empty()) {
    if (values.count("help") == 0) return usage_error("no command given");
    options.command = "help";
    return options;
  }
  options.command = options.arguments.front();
  options.arguments.erase(options.arguments.begin());
  if (values.count("help") != 0) {
    options.arguments = {options.command};
    options.command = "help";
  }
  if (options.command == "help" || options.command == "version") return options;
  if (values.count("symbols") != 0) {
    options.search.symbols = values["symbols"].as<std::vector<std::string>>();
  }
  if (values.count("suppressions") != 0) {
    options.suppressions = values["suppressions"].as<std::vector<std::string>>();
  }
  options.embedded_suppressions = values.count("no-embedded-suppressions") == 0;
  options.search.executable = text(values, "exe");
  options.search.sysroot = text(values, "sysroot");
  options.search.debuginfod = values.count("debuginfod") != 0;
  options.search.debuginfod_cache = debuginfod_cache_directory();
  options.quiet = values.count("quiet") != 0;
  options.strict = values.count("strict") != 0;
  options.progress = values.count("no-progress") == 0 && !options.quiet;
  options.retained = values.count("no-retained") == 0;
  if (values.count("references") != 0) {
    options.references = text(values, "references");
    const std::string& when = options.references;
    if (when != "auto" && when != "always" && when != "never") {
      return usage_error("--references is auto, always or never");
    }
  }
  options.database = text(values, "db");
  options.label = text(values, "label");
  options.dimension = text(values, "by");
  options.measure = text(values, "measure");
  options.process = text(values, "process");
  options.executable = text(values, "executable");
  options.chunks = values.count("chunks") != 0;
  if (values.count("jobs") != 0) options.jobs = values["jobs"].as<unsigned>();
  if (values.count("tid") != 0) options.tid = values["tid"].as<uint32_t>();
  if (values.count("limit") != 0) options.limit = values["limit"].as<int64_t>();
  options.replace = values.count("replace") != 0;
  options.dry_run = values.count("dry-run") != 0;
  if (values.count("keep-last") != 0) options.keep_last = values["keep-last"].as<int64_t>();
  if (values.count("keep-last") != 0 && options.keep_last < 0) {
    return usage_error("--keep-last is negative");
  }
  if (values.count("older-than") != 0) {
    options.older_than = parse_age(text(values, "older-than"));
    if (options.older_than < 0) {
      return usage_error("--older-than " + text(values, "older-than") + " is no age like 30d");
    }
  }
  if (values.count("limit") != 0 && options.limit < 0) return usage_error("--limit is negative");
  if (values.count("format") != 0) {
    const auto format = parse_output_format(text(values, "format"));
    if (!format) return usage_error("unknown format '" + text(values, "format") + "'");
    options.format = *format;
  }
  RESIDUE_TRY(read_gates(values, &options));
  RESIDUE_TRY(check_arguments(options, values));
  return options;
}

// "--a --b": of what one command, or every command, takes.
std::string option_words(const po::options_description& options,
                         const std::vector<std::string>* only) {
  std::string words;
  for (const auto& option : options.options()) {
    const std::string& name = option->long_name();
    if (only != nullptr && std::find(only->begin(), only->end(), name) == only->end()) continue;
    words.append(words.empty() ? "--" : " --").append(name);
  }
  return words;
}

// The beginnings of rules: "leaked_bytes growth …".
std::string gate_words() {
  std::string words;
  for (const GateMetric& metric : gate_metrics()) {
    words.append(words.empty() ? "" : " ").append(metric.name);
  }
  return words;
}

}  // namespace

std::string completion_script() {
  std::string names = "help";
  std::string cases;
  for (const Command& command : commands()) {
    names.append(" ").append(command.name);
    const std::string own = option_words(command_options(), &command.options);
    if (own.empty()) continue;
    cases.append("    ").append(command.name).append(") words+=' ").append(own).append("' ;;\n");
  }
  return "# bash completion of residue; made by 'residue completion'\n"
         "_residue() {\n"
         "  local here=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} command= word\n"
         "  local names='" +
         names +
         "'\n"
         "  for word in \"${COMP_WORDS[@]:1:COMP_CWORD-1}\"; do\n"
         "    [[ \" $names \" == *\" $word \"* ]] && { command=$word; break; }\n"
         "  done\n"
         "  case $before in\n"
         "    --format) COMPREPLY=($(compgen -W 'table json csv tsv sarif junit' -- \"$here\")); "
         "return ;;\n"
         "    --symbols|--sysroot) COMPREPLY=($(compgen -d -- \"$here\")); return ;;\n"
         "    --references) COMPREPLY=($(compgen -W 'auto always never' -- \"$here\")); return ;;\n"
         "    --fail-on) COMPREPLY=($(compgen -W '" +
         gate_words() +
         "' -- \"$here\")); return ;;\n"
         "    --suppressions|--db|--exe|--baseline) COMPREPLY=($(compgen -f -- \"$here\")); return "
         ";;\n"
         "    --by) COMPREPLY=($(compgen -W 'type site module owner heap size region shape "
         "allocator mapping' -- \"$here\")); return ;;\n"
         "    help) COMPREPLY=($(compgen -W \"$names\" -- \"$here\")); return ;;\n"
         "  esac\n"
         "  local words='" +
         option_words(global_options(), nullptr) +
         "'\n"
         "  case $command in\n" +
         cases +
         "  esac\n"
         "  if [[ $here == -* ]]; then\n"
         "    COMPREPLY=($(compgen -W \"$words\" -- \"$here\"))\n"
         "  elif [[ -z $command ]]; then\n"
         "    COMPREPLY=($(compgen -W \"$names\" -- \"$here\"))\n"
         "  else\n"
         "    COMPREPLY=($(compgen -f -- \"$here\"))\n"
         "  fi\n"
         "}\n"
         "complete -o filenames -F _residue residue\n";
}

Result<Options> parse_options(int argc, const char* const* argv) {
  po::options_description all;
  all.add(global_options()).add(command_options());
  all.add_options()("words", po::value<std::vector<std::string>>());
  po::positional_options_description positional;
  positional.add("words", -1);
  // No abbreviations: a later option must not change what a script's shortened one means.
  const int style = po::command_line_style::unix_style & ~po::command_line_style::allow_guessing;
  po::variables_map values;
  try {
    po::store(
        po::command_line_parser(argc, argv).options(all).positional(positional).style(style).run(),
        values);
    po::notify(values);
  } catch (const po::error& error) {
    return usage_error(error.what());
  }
  return fill(values);
}

Result<std::string> help_text(const std::string& topic) {
  std::string out;
  if (topic.empty()) {
    out = "residue: what a process left behind, and what of it leaked\n\nUsage:\n";
    for (const Command& command : commands()) {
      for (const char* part :
           {"  residue ", command.name, " ", command.usage, "\n      ", command.summary, "\n"}) {
        out += part;
      }
    }
    out += "  residue help COMMAND\n      more about one command\n\n";
    out +=
        "Exit codes: 0 done; 1 a gate (--fail-on) was breached; 2 wrong usage; 3 the input is not "
        "readable as any known dump or\n"
        "database (with --strict: damaged); 4 internal error, a result could not be written, or\n"
        "no space to unpack a compressed dump (see TMPDIR).\n\n";
  } else {
    const Command* command = find_command(topic);
    if (command == nullptr) return usage_error("unknown command '" + topic + "'");
    out = std::string("Usage: residue ") + command->name + " " + command->usage + "\n\n" +
          command->summary + "\n\n" + command->details + "\n\n";
    const po::options_description known = command_options();
    po::options_description own("Options of this command");
    for (const auto& option : known.options()) {
      const auto& names = command->options;
      if (std::find(names.begin(), names.end(), option->long_name()) != names.end()) {
        own.add(option);
      }
    }
    if (!own.options().empty()) {
      std::ostringstream text;
      text << own << "\n";
      out += text.str();
    }
  }
  std::ostringstream text;
  text << global_options();
  return out + text.str();
}

}  // namespace residue
