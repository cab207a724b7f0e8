#include "symbolize/symbol_report.h"

#include <algorithm>
#include <cstdlib>
#include <map>
#include <set>
#include <utility>

#include "formats/base/text.h"
#include "symbolize/debug_files_packages.h"
#include "symbolize/dwarf/module_dwarf.h"
#include "symbolize/symbol_table.h"

namespace residue {
namespace {

bool lacks(const SymbolFinding& finding, const char* what) {
  return finding.what == what && finding.state == "missing";
}

std::string plain_path(const Module& module) {
  constexpr std::string_view kDeleted = " (deleted)";
  std::string path = module.path;
  if (path.ends_with(kDeleted)) path.resize(path.size() - kDeleted.size());
  return path;
}

// Asks for every split unit, so that those that are missing become findings.
void look_at_split_units(const DebugFiles& files, ModuleId id) {
  const ModuleFiles& of = files.of(id);
  // Skeletons take their addresses from there; a program without it has none.
  if (of.debug == nullptr || !of.debug->has(".debug_addr")) return;
  dwarf::ModuleDwarf module(
      *of.debug, of.alternate,
      [&](const std::string& directory, const std::string& name, uint64_t dwo_id) {
        return files.split_unit(id, directory, name, dwo_id);
      });
  dwarf::DwarfFile& main = module.main();
  for (const dwarf::UnitHeader& header : main.units()) {
    if (const dwarf::Unit* unit = main.unit(header); unit != nullptr && unit->root().dwo_id) {
      (void)module.full(*unit);
    }
    module.trim();
  }
}

class Remedies {
 public:
  Remedies(const DebugFiles& files, const std::vector<std::string>& paths)
      : packages_(files.search().sysroot, paths), asked_(files.search().debuginfod) {
    const char* urls = std::getenv("DEBUGINFOD_URLS");
    has_servers_ = urls != nullptr && *urls != '\0';
  }

  std::string remedy(const Module& module, const SymbolFinding& finding) {
    if (finding.state != "missing") return {};
    if (finding.what == "debug") return debug(module);
    if (finding.what == "binary") return binary(module);
    if (finding.what == "alternate") return "debuginfod-find debuginfo " + alternate_id(finding);
    if (finding.what == "dwo")
      return "--symbols DIR with the .dwo files, or a .dwp beside the file";
    return {};
  }

  std::optional<SymbolReport::Advice> advice() const {
    std::optional<SymbolReport::Advice> best;
    for (const auto& [command, arguments] : commands_) {
      if (best && best->modules >= arguments.modules) continue;
      best = SymbolReport::Advice{command, arguments.modules};
      for (const std::string& argument : arguments.words) best->command += " " + argument;
    }
    return best;
  }

 private:
  struct Arguments {
    size_t modules = 0;
    std::set<std::string> words;
  };

  void count(const std::string& command, const std::string& argument) {
    Arguments& arguments = commands_[command];
    ++arguments.modules;
    if (!argument.empty()) arguments.words.insert(argument);
  }

  std::string debug(const Module& module) {
    std::string text = package(module);
    if (!module.build_id.empty() && !asked_) {
      const bool first = text.empty();
      if (has_servers_) {
        count("residue symbols --debuginfod", "");
        text += first ? "--debuginfod" : ", or --debuginfod";
      } else if (first) {
        text = "debuginfod-find debuginfo " + module.build_id;
      }
    }
    if (text.empty()) text = "--symbols DIR with the file as it was linked, or its debug file";
    return text;
  }

  std::string package(const Module& module) {
    const std::string path = plain_path(module);
    const PackageAnswer answer = packages_.debug_package(path);
    if (!answer.package.empty()) {
      if (!answer.is_guess) count("apt-get install", answer.package);
      std::string text = "apt-get install " + answer.package;
      if (answer.is_guess) text += " (a guess from the file's name)";
      if (!answer.is_guess && module.file.empty()) text += " (in the version of the dump)";
      return text;
    }
    if (path_style(path) != PathStyle::kFedora) return {};
    std::string owner = "$(rpm -qf ";
    owner.append(path).append(")");
    count("dnf debuginfo-install", owner);
    return "dnf debuginfo-install " + owner;
  }

  std::string binary(const Module& module) const {
    std::string text =
        module.is_executable ? "--exe FILE" : "--symbols DIR or --sysroot DIR with the file";
    if (!module.build_id.empty()) {
      if (has_servers_ && !asked_) text += ", or --debuginfod";
      if (!has_servers_) text += ", or debuginfod-find executable " + module.build_id;
    }
    return text;
  }

  static std::string alternate_id(const SymbolFinding& finding) {
    constexpr std::string_view kBefore = "build-id ";
    const size_t at = finding.reason.find(kBefore);
    if (at == std::string::npos) return "BUILDID";
    const size_t begin = at + kBefore.size();
    return finding.reason.substr(begin, finding.reason.find(':', begin) - begin);
  }

  const PackageNames packages_;
  bool asked_ = false;
  bool has_servers_ = false;
  std::map<std::string, Arguments> commands_;
};

}  // namespace

SymbolReport report_symbols(const DebugFiles& files) {
  const Image& image = files.image();
  const SymbolTable table(files);
  SymbolReport report;
  std::vector<std::string> wanting;
  for (uint32_t m = 0; m < image.modules.size(); ++m) {
    const ModuleId id(m);
    look_at_split_units(files, id);
    const SymbolLevel level = table.level(id);
    const auto findings = files.findings(id);
    const bool is_vdso = std::any_of(findings.begin(), findings.end(), [](const auto& f) {
      return f.what == "binary" && f.state == "not needed";
    });
    if (!is_vdso) {
      ++report.modules;
      if (level == SymbolLevel::kFull) ++report.full;
      if (level == SymbolLevel::kPartial) ++report.partial;
    }
    for (const SymbolFinding& finding : findings) {
      if (lacks(finding, "debug")) wanting.push_back(plain_path(image.modules[m]));
      report.rows.push_back({id, finding});
    }
  }
  Remedies remedies(files, wanting);
  for (SymbolReport::Row& row : report.rows) {
    row.finding.remedy = remedies.remedy(image.modules[row.module.value()], row.finding);
  }
  report.advice = remedies.advice();
  return report;
}

}  // namespace residue
