// The function is compiled code, and nothing here runs code. But as a rule it returns a string
// literal, which compilers make one address computation: that is decoded, and nothing else. A
// function that computes its text is left alone, and said to be.
//
// Only the program itself is asked, as the linker resolves the weak symbol there, and because the
// symbols of every library would have to be read for it.
#include "analyzer/embedded_suppressions.h"

#include <algorithm>
#include <array>

#include "formats/base/text.h"

namespace residue {
namespace {

constexpr std::string_view kFunction = "__lsan_default_suppressions";
constexpr uint64_t kMaxCode = 64;
constexpr uint64_t kMaxText = 1 << 20;

// x86 code that is taken off the front of a span, as long as it is what is expected.
class CodeCursor {
 public:
  CodeCursor(std::span<const std::byte> code, uint64_t pc) : code_(code), pc_(pc) {}

  bool skip(std::initializer_list<uint8_t> bytes) {
    if (code_.size() < bytes.size()) return false;
    const auto equal = [](std::byte a, uint8_t b) { return std::to_integer<uint8_t>(a) == b; };
    if (!std::equal(bytes.begin(), bytes.end(), code_.begin(),
                    [&](uint8_t b, std::byte a) { return equal(a, b); })) {
      return false;
    }
    advance(bytes.size());
    return true;
  }
  template <typename T>
  std::optional<T> take() {
    if (code_.size() < sizeof(T)) return std::nullopt;
    const T value = load<T>(code_);
    advance(sizeof(T));
    return value;
  }
  uint64_t pc() const { return pc_; }

 private:
  void advance(size_t n) {
    code_ = code_.subspan(n);
    pc_ += n;
  }
  std::span<const std::byte> code_;
  uint64_t pc_;
};

uint64_t sign_extend(uint32_t value) {
  return static_cast<uint64_t>(static_cast<int64_t>(static_cast<int32_t>(value)));
}

// Intel's manual, volume 2: LEA 8D, MOV 8B B8 C7, with REX.W and a ModR/M byte of eax/rax and,
// in 64-bit code, of RIP plus 32 bits.
std::optional<ReturnedConstant> decode_x86(bool wide, CodeCursor code) {
  code.skip({0xf3, 0x0f, 0x1e, static_cast<uint8_t>(wide ? 0xfa : 0xfb)});  // endbr
  if (code.skip({0x55})) {                                                  // push bp; mov bp, sp
    const bool frame = wide ? code.skip({0x48, 0x89, 0xe5}) : code.skip({0x89, 0xe5});
    if (!frame) return std::nullopt;
  }
  ReturnedConstant result;
  const bool lea = wide && code.skip({0x48, 0x8d, 0x05});
  const bool load_word = !lea && wide && code.skip({0x48, 0x8b, 0x05});
  if (lea || load_word) {
    const auto offset = code.take<uint32_t>();
    if (!offset) return std::nullopt;
    result = {code.pc() + sign_extend(*offset), load_word};
  } else if (wide && code.skip({0x48, 0xb8})) {
    const auto value = code.take<uint64_t>();
    if (!value) return std::nullopt;
    result.value = *value;
  } else if (code.skip({0xb8}) || (wide && code.skip({0x48, 0xc7, 0xc0}))) {
    const auto value = code.take<uint32_t>();
    if (!value) return std::nullopt;
    result.value = *value;
  } else if (!wide && code.skip({0xa1})) {  // mov eax, [address]
    const auto value = code.take<uint32_t>();
    if (!value) return std::nullopt;
    result = {*value, true};
  } else {
    return std::nullopt;
  }
  if (!code.skip({0x5d})) code.skip({0xc9});  // pop bp; leave
  if (code.skip({0xc3}) || code.skip({0xf3, 0xc3})) return result;
  return std::nullopt;
}

// Arm's manual (DDI 0487), C6.2: ADRP, ADR, ADD (immediate), LDR (immediate, unsigned offset), RET
// and hints, of x0. Instructions are little-endian whatever the data.
std::optional<ReturnedConstant> decode_aarch64(CodeCursor code) {
  constexpr uint32_t kNobody = 32;
  ReturnedConstant result;
  uint32_t holder = kNobody;  // the register that has it
  for (uint64_t pc = code.pc();; pc = code.pc()) {
    const auto word = code.take<uint32_t>();
    if (!word) return std::nullopt;
    const uint32_t w = *word;
    if ((w & 0xfffff01f) == 0xd503201f) continue;       // bti, paciasp, autiasp, nop
    if (w == 0xd65f03c0 && holder == 0) return result;  // ret
    const bool from_holder = (w >> 5 & 31) == holder && !result.in_memory;
    const uint64_t offset = w >> 10 & 0xfff;
    if ((w & 0x1f000000) == 0x10000000) {
      // ADR and ADRP: 20 bits and a sign, the lowest two apart.
      const uint64_t bits = uint64_t{w >> 5 & 0x7ffff} << 2 | (w >> 29 & 3);
      const auto immediate = static_cast<uint64_t>(static_cast<int64_t>(bits << 43) >> 43);
      const bool pages = (w >> 31) != 0;
      result = {pages ? (pc & ~uint64_t{0xfff}) + (immediate << 12) : pc + immediate, false};
    } else if ((w & 0xffc00000) == 0x91000000 && from_holder) {  // add
      result.value += offset;
    } else if ((w & 0xffc00000) == 0xf9400000 && from_holder) {  // ldr
      result = {result.value + offset * 8, true};
    } else {
      return std::nullopt;
    }
    holder = w & 31;
  }
}

void note(Diagnostics* diagnostics, const std::string& place, const std::string& what) {
  diagnostics->add(Severity::kNote, "suppressions", place, 0, what);
}

}  // namespace

std::optional<ReturnedConstant> decode_returned_constant(Architecture architecture,
                                                         std::span<const std::byte> code,
                                                         uint64_t pc) {
  switch (architecture) {
    case Architecture::kX86_64:
      return decode_x86(true, {code, pc});
    case Architecture::kX86:
      return decode_x86(false, {code, pc});
    case Architecture::kAArch64:
      return decode_aarch64({code, pc});
    default:
      return std::nullopt;
  }
}

void add_embedded_suppressions(const Image& image, const SymbolTable& symbols,
                               SuppressionList* list, Diagnostics* diagnostics) {
  for (uint32_t m = 0; m < image.modules.size(); ++m) {
    if (!image.modules[m].is_executable) continue;
    const auto function = symbols.find_named(ModuleId(m), kFunction);
    if (!function) continue;
    const std::string place =
        std::string(base_name(image.modules[m].path)).append(":").append(kFunction);
    const auto constant = decode_returned_constant(
        image.architecture, image.view(Address(function->address), kMaxCode), function->address);
    if (!constant) {
      note(diagnostics, place, "does more than return a constant, or is not in the dump: ignored");
      continue;
    }
    std::optional<uint64_t> address = constant->value;
    if (constant->in_memory) address = image.word(Address(constant->value));
    std::optional<std::string_view> text;
    if (address) text = image.c_string(Address(image.untag(*address)), kMaxText);
    if (!text) {
      note(diagnostics, place, "the text that it returns is not in the dump: ignored");
      continue;
    }
    SuppressionList own;
    own.rules = std::move(list->rules);
    parse_suppressions(*text, place, &own);
    list->rules = std::move(own.rules);
    for (const std::string& what : own.notes) note(diagnostics, place, what);
    for (const std::string& what : own.problems) {
      diagnostics->add(Severity::kWarning, "suppressions", place, 0, what);
    }
  }
}

}  // namespace residue
