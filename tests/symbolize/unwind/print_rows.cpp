// print_rows FILE SECTION: reads addresses (hexadecimal, one a line) from the standard input and
// writes for each what the file's .eh_frame or .debug_frame says there, in readelf's notation:
//
//   ADDRESS none | ADDRESS CFA REGISTER=RULE...
#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <string>

#include "symbolize/symbol_file.h"
#include "symbolize/unwind/cfi_row.h"
#include "symbolize/unwind/cfi_table.h"

namespace {

using namespace residue;

std::string with_sign(int64_t value) { return (value < 0 ? "" : "+") + std::to_string(value); }

std::string text_of(const CfaRule& cfa) {
  switch (cfa.kind) {
    case CfaRule::Kind::kRegister: {
      std::string text = std::to_string(cfa.reg);
      return text.append(with_sign(cfa.offset));
    }
    case CfaRule::Kind::kExpression:
      return "exp";
    case CfaRule::Kind::kNone:
      break;
  }
  return "none";
}

std::string text_of(const RegisterRule& rule) {
  using Kind = RegisterRule::Kind;
  switch (rule.kind) {
    case Kind::kOffset:
      return std::string("c").append(with_sign(rule.offset));
    case Kind::kValOffset:
      return std::string("v").append(with_sign(rule.offset));
    case Kind::kRegister:
      return std::string("r").append(std::to_string(rule.offset));
    case Kind::kSameValue:
      return "s";
    case Kind::kExpression:
      return "exp";
    case Kind::kValExpression:
      return "vexp";
    default:
      return "u";
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  const auto file = SymbolFile::open(argv[1]);
  if (!file) {
    std::fprintf(stderr, "%s\n", to_string(file.error()).c_str());
    return 3;
  }
  const auto bytes = (*file)->section(argv[2]);
  CfiSection section;
  section.is_debug_frame = std::strcmp(argv[2], ".debug_frame") == 0;
  section.order = (*file)->order();
  section.start = section.is_debug_frame ? 0 : (*file)->section_address(argv[2]).value_or(0);
  section.end = section.start + bytes.size();
  section.bases.width = (*file)->header().word();
  const CfiBytes memory(bytes, section.start);
  section.bytes = &memory;
  const CfiTable table = CfiTable::of_section(section);
  const bool is_aarch64 = (*file)->header().machine == 183;
  const auto architecture = is_aarch64 ? Architecture::kAArch64 : Architecture::kUnknown;
  uint64_t pc = 0;
  while (std::scanf("%" SCNx64, &pc) == 1) {
    const auto fde = table.find(pc);
    const auto row = fde ? cfi_row(section, *fde, pc, architecture) : Error{};
    if (!row) {
      std::printf("%" PRIx64 " none\n", pc);
      continue;
    }
    std::printf("%" PRIx64 " %s", pc, text_of(row->cfa).c_str());
    for (const auto& [reg, rule] : row->rules) {
      std::printf(" %s%u=%s", reg == row->return_register ? "ra/" : "", reg, text_of(rule).c_str());
    }
    std::printf("\n");
  }
  return 0;
}
