#include "cli/options.h"

#include <algorithm>
#include <array>
#include <boost/program_options.hpp>

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
       "DUMP... [--db FILE] [--label TEXT]",
       "the main job: walk the heaps, find what leaked and who owns the rest",
       1,
       kAny,
       {"db", "label", "limit", "no-retained", "references"},
       "Prints a summary of each dump: its leaked clusters, what keeps the rest alive, suspects,\n"
       "types and owners. --no-retained leaves out what keeps what: it takes up to half of the\n"
       "time, and chunk.retained is then NULL. With --db every dump\n"
       "becomes a snapshot in the SQLite database FILE, which is created if it is missing; a dump\n"
       "that is already there is recognised. --limit N shows N rows per table (0: all).\n"
       "Who refers to whom is stored too, unless the snapshot would take more than 7 bytes a "
       "chunk:\n"
       "--references always stores it in any case, --references never leaves it out.\n"
       "With --format json, csv or tsv: one row per dump."},
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
       {"limit"},
       "One line is one shape of leak: how many there are, what one consists of, and the bytes of\n"
       "all; before it chunks and bytes of all, bytes of one, the module of the head's type, and "
       "the\n"
       "address of one head (for 'residue explain'). SNAPSHOT is an id or a label; without it the\n"
       "newest counts. Suppressed leaks are left out (--suppressions; docs/suppressions.md); in a\n"
       "database they are what they were when the dump was stored."},
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
       "DB A B [--by DIMENSION]",
       "what grew between two snapshots of a database",
       3,
       3,
       {"by", "limit"},
       "A and B are ids or labels. DIMENSION is type, owner, module, size or heap; without it the\n"
       "table shows each in turn, and the other formats all rows."},
      {"query",
       "DUMP | DB SQL",
       "SQL over a dump directly, or over a database of snapshots",
       2,
       2,
       {},
       "Reading only. The tables stand in docs/schema.md; 'chunk' has one row per chunk:\n"
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
       "table (default), json, csv or tsv")  //
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
      ("by", po::value<std::string>()->value_name("DIMENSION"), "one dimension only")   //
      ("tid", po::value<uint32_t>()->value_name("N"), "this thread only")               //
      ("no-retained", "do not find out what keeps what")                                //
      ("references", po::value<std::string>()->value_name("WHEN"),
       "store who refers to whom: auto (default), always or never")  //
      ("limit", po::value<int64_t>()->value_name("N"), "show N rows (0: all)");
  return options;
}

Error usage_error(const std::string& message) {
  return Error{ErrorCode::kUsage, message + " (see 'residue help')", {}};
}

std::string text(const po::variables_map& values, const char* name) {
  return values.count(name) != 0 ? values[name].as<std::string>() : std::string();
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
  return {};
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
  if (values.count("jobs") != 0) options.jobs = values["jobs"].as<unsigned>();
  if (values.count("tid") != 0) options.tid = values["tid"].as<uint32_t>();
  if (values.count("limit") != 0) options.limit = values["limit"].as<int64_t>();
  if (values.count("limit") != 0 && options.limit < 0) return usage_error("--limit is negative");
  if (values.count("format") != 0) {
    const auto format = parse_output_format(text(values, "format"));
    if (!format) return usage_error("unknown format '" + text(values, "format") + "'");
    options.format = *format;
  }
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
         "    --format) COMPREPLY=($(compgen -W 'table json csv tsv' -- \"$here\")); return ;;\n"
         "    --symbols|--sysroot) COMPREPLY=($(compgen -d -- \"$here\")); return ;;\n"
         "    --references) COMPREPLY=($(compgen -W 'auto always never' -- \"$here\")); return ;;\n"
         "    --suppressions|--db|--exe) COMPREPLY=($(compgen -f -- \"$here\")); return ;;\n"
         "    --by) COMPREPLY=($(compgen -W 'type owner module size heap' -- \"$here\")); return "
         ";;\n"
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
        "Exit codes: 0 done; 2 wrong usage; 3 the input is not readable as any known dump or\n"
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
