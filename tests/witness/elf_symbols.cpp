#include "elf_symbols.h"

#include <elf.h>

#include <cstddef>
#include <cstring>
#include <fstream>
#include <iterator>
#include <vector>

namespace witness {

namespace {

using Bytes = std::vector<char>;

Bytes read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return Bytes(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
}

// These files are the system's own, not untrusted input; a bounds check suffices.
template <typename T>
std::optional<T> read_at(const Bytes& bytes, std::uint64_t offset) {
  if (offset > bytes.size() || bytes.size() - offset < sizeof(T)) return std::nullopt;
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof value);
  return value;
}

std::vector<Elf64_Shdr> sections(const Bytes& bytes) {
  std::vector<Elf64_Shdr> found;
  const auto header = read_at<Elf64_Ehdr>(bytes, 0);
  if (!header || std::memcmp(header->e_ident, ELFMAG, SELFMAG) != 0) return found;
  for (std::uint64_t i = 0; i < header->e_shnum; ++i) {
    const auto section = read_at<Elf64_Shdr>(bytes, header->e_shoff + i * sizeof(Elf64_Shdr));
    if (section) found.push_back(*section);
  }
  return found;
}

std::optional<Symbol> find_in(const Bytes& bytes, const std::string& name) {
  const auto all = sections(bytes);
  for (const Elf64_Shdr& table : all) {
    if (table.sh_type != SHT_SYMTAB || table.sh_link >= all.size()) continue;
    const std::uint64_t names = all[table.sh_link].sh_offset;
    for (std::uint64_t at = 0; at < table.sh_size; at += sizeof(Elf64_Sym)) {
      const auto symbol = read_at<Elf64_Sym>(bytes, table.sh_offset + at);
      if (!symbol || ELF64_ST_TYPE(symbol->st_info) != STT_OBJECT) continue;
      const std::uint64_t text = names + symbol->st_name;
      if (text + name.size() >= bytes.size()) continue;
      // The terminator is compared as well: "mp_" must not match "mp_something".
      if (std::memcmp(bytes.data() + text, name.c_str(), name.size() + 1) != 0) continue;
      return Symbol{symbol->st_value, symbol->st_size};
    }
  }
  return std::nullopt;
}

std::string build_id_debug_path(const Bytes& bytes) {
  for (const Elf64_Shdr& section : sections(bytes)) {
    if (section.sh_type != SHT_NOTE) continue;
    const auto note = read_at<Elf64_Nhdr>(bytes, section.sh_offset);
    if (!note || note->n_type != NT_GNU_BUILD_ID || note->n_namesz != 4) continue;
    const std::uint64_t at = section.sh_offset + sizeof(Elf64_Nhdr) + 4;
    std::string hex;
    for (std::uint64_t i = 0; i < note->n_descsz && at + i < bytes.size(); ++i) {
      const auto byte = static_cast<unsigned char>(bytes[at + i]);
      hex += "0123456789abcdef"[byte >> 4];
      hex += "0123456789abcdef"[byte & 15];
    }
    if (hex.size() > 2) {
      return "/usr/lib/debug/.build-id/" + hex.substr(0, 2) + "/" + hex.substr(2) + ".debug";
    }
  }
  return {};
}

}  // namespace

std::optional<Symbol> find_object(const std::string& path, const std::string& name) {
  const Bytes own = read_file(path);
  if (auto symbol = find_in(own, name)) return symbol;
  const std::string debug = build_id_debug_path(own);
  return debug.empty() ? std::nullopt : find_in(read_file(debug), name);
}

}  // namespace witness
