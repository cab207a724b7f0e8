// dwarf_look_up FILE [ALTERNATE]: reads link-time addresses, one a line, and writes for each a line
// "ADDRESS", then for each frame, innermost first, "FUNCTION<tab>FILE<tab>DIRECTORY<tab>LINE",
// where DIRECTORY says how many characters of FILE are the compilation's. For the tests that
// compare with other readers; split units are looked for where the skeletons say.
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <map>

#include "symbolize/dwarf/debug_info.h"
#include "symbolize/symbol_file.h"

int main(int argc, char** argv) {
  using namespace residue;
  if (argc < 2) return 2;
  const auto file = SymbolFile::open(argv[1]);
  if (!file) return 3;
  std::unique_ptr<SymbolFile> alternate;
  if (argc > 2) {
    auto opened = SymbolFile::open(argv[2]);
    if (!opened) return 3;
    alternate = std::move(*opened);
  }
  std::map<std::string, std::unique_ptr<SymbolFile>> splits;
  DebugInfo info(**file, alternate.get(),
                 [&](const std::string& dir, const std::string& name, uint64_t) {
                   const std::string path = name.starts_with('/') ? name : dir + "/" + name;
                   auto& split = splits[path];
                   if (split == nullptr) {
                     if (auto opened = SymbolFile::open(path)) split = std::move(*opened);
                   }
                   return static_cast<const SymbolFile*>(split.get());
                 });
  std::vector<uint64_t> addresses;
  for (std::string word; std::cin >> word;) {
    addresses.push_back(std::strtoull(word.c_str(), nullptr, 16));
  }
  const auto found = info.look_up(addresses);
  for (size_t i = 0; i < addresses.size(); ++i) {
    std::printf("%" PRIx64 "\n", addresses[i]);
    for (const SourceFrame& frame : found[i]) {
      std::printf("%s\t%s\t%u\t%u\n", frame.function.c_str(), frame.file.c_str(), frame.directory,
                  frame.line);
    }
  }
  for (const Diagnostic& item : info.diagnostics().items()) {
    std::fprintf(stderr, "%s: %s\n", item.place.c_str(), item.message.c_str());
  }
  return 0;
}
