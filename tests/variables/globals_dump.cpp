// Prints what residue says of the variables of an ELF file, for the comparison with other readers:
//
//     globals_dump static FILE [ALTERNATE] < ADDRESSES     one hexadecimal address a line
//     globals_dump tls FILE [ALTERNATE] < OFFSETS
//
// A line a variable: the address asked for, the variable's address, size, line, file, type and
// name, separated by tabs. Split units are looked for where the compiler left them.
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "symbolize/dwarf/variables.h"
#include "symbolize/symbol_file.h"

namespace {

using residue::SymbolFile;
using residue::Variable;
using residue::Variables;

std::unique_ptr<SymbolFile> open(const std::string& path) {
  auto file = SymbolFile::open(path);
  if (!file) {
    std::fprintf(stderr, "%s: %s\n", path.c_str(), file.error().message.c_str());
    return nullptr;
  }
  return std::move(file).value();
}

class SplitFiles {
 public:
  explicit SplitFiles(std::string binary) : binary_(std::move(binary)) {}

  const SymbolFile* find(const std::string& dir, const std::string& name) {
    const std::string package = binary_ + ".dwp";
    const std::string path =
        std::filesystem::exists(package) ? package : (std::filesystem::path(dir) / name).string();
    auto& slot = files_[path];
    if (slot == nullptr) slot = open(path);
    return slot.get();
  }

 private:
  std::string binary_;
  std::map<std::string, std::unique_ptr<SymbolFile>> files_;
};

void print(uint64_t asked, const std::optional<Variable>& variable) {
  if (!variable) {
    std::printf("%llx\t-\n", static_cast<unsigned long long>(asked));
    return;
  }
  std::printf("%llx\t%llx\t%llu\t%u\t%s\t%s\t%s\n", static_cast<unsigned long long>(asked),
              static_cast<unsigned long long>(variable->address),
              static_cast<unsigned long long>(variable->size), variable->line,
              variable->file.c_str() + variable->directory, variable->type.c_str(),
              variable->name.c_str());
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: globals_dump static|tls FILE [ALTERNATE] < ADDRESSES\n");
    return 2;
  }
  const auto file = open(argv[2]);
  const auto alternate = argc > 3 ? open(argv[3]) : nullptr;
  if (file == nullptr) return 1;
  SplitFiles splits(argv[2]);
  Variables variables(*file, alternate.get(),
                      [&](const std::string& dir, const std::string& name, uint64_t /*id*/) {
                        return splits.find(dir, name);
                      });
  std::vector<uint64_t> addresses;
  unsigned long long address = 0;
  while (std::scanf("%llx", &address) == 1) addresses.push_back(address);
  if (std::strcmp(argv[1], "tls") == 0) {
    for (const uint64_t offset : addresses) print(offset, variables.find_thread_local(offset));
  } else {
    const auto found = variables.find(addresses);
    for (size_t i = 0; i < found.size(); ++i) print(addresses[i], found[i]);
  }
  for (const auto& item : variables.diagnostics().items()) {
    std::fprintf(stderr, "%s: %s\n", item.place.c_str(), item.message.c_str());
  }
  std::fprintf(stderr, "%zu variables\n", variables.count());
  return 0;
}
