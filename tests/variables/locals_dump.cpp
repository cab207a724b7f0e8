// Prints the parameters and local variables of every frame of a core, for the comparison with gdb:
//
//     locals_dump CORE EXECUTABLE
//
// A line a variable, separated by tabs: thread id, number of the physical frame, its pc, function,
// line of the declaration, 'arg' or 'var', name, type, size, place, and what the place says:
// 'memory' an address, 'value' a number (also of what is in a register), 'implicit' bytes, 'none',
// 'pieces' a number of pieces, all of them there.
#include <algorithm>
#include <cstdio>
#include <map>
#include <memory>
#include <string>

#include "formats/base/text.h"
#include "formats/format.h"
#include "symbolize/debug_files.h"
#include "symbolize/stack_frame.h"
#include "symbolize/stack_locals.h"
#include "symbolize/unwind/unwinder.h"

namespace {

using residue::LocalVariable;
using residue::LocationPiece;

std::string place_of(const LocalVariable& variable, const residue::RegisterSet& registers) {
  using Kind = LocationPiece::Kind;
  if (variable.pieces.size() != 1) {
    const bool whole =
        std::none_of(variable.pieces.begin(), variable.pieces.end(), [](const auto& piece) {
          return piece.kind == LocationPiece::Kind::kNone ||
                 piece.kind == LocationPiece::Kind::kImplicitPointer;
        });
    return std::string(whole ? "pieces\t" : "none\tpieces ")
        .append(std::to_string(variable.pieces.size()));
  }
  const LocationPiece& piece = variable.pieces[0];
  const auto value = [&](uint64_t number) {
    if (variable.size < 8) number &= (uint64_t{1} << (8 * variable.size)) - 1;
    return std::string("value\t").append(residue::hex(number));
  };
  switch (piece.kind) {
    case Kind::kMemory:
      return std::string("memory\t").append(residue::hex(piece.value));
    case Kind::kRegister: {
      const auto held = registers.get(static_cast<unsigned>(piece.value));
      return held ? value(*held) : std::string("none\tregister");
    }
    case Kind::kValue:
      return value(piece.value);
    case Kind::kImplicit:
      return std::string("implicit\t").append(residue::hex_bytes(piece.bytes));
    case Kind::kImplicitPointer:
      return "pointer\t";
    case Kind::kNone:
      break;
  }
  return "none\t";
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: locals_dump CORE EXECUTABLE\n");
    return 2;
  }
  residue::FileSearch search;
  search.executable = argv[2];
  residue::Diagnostics diagnostics;
  const auto image = residue::open_dump(argv[1], search, diagnostics);
  if (!image) {
    std::fprintf(stderr, "%s: %s\n", argv[1], image.error().message.c_str());
    return 1;
  }
  const residue::DebugFiles files(*image, search);
  const residue::Unwinder unwinder(*image, files);
  std::map<residue::ModuleId, std::unique_ptr<residue::Variables>> modules;
  residue::UnwindOptions options;
  options.keep_registers = 1000;
  for (const residue::Thread& thread : image->threads) {
    const residue::UnwoundStack stack = unwinder.unwind(thread, options);
    residue::StackLocals locals(*image, stack, [&](residue::ModuleId id) {
      auto& slot = modules[id];
      if (slot == nullptr) slot = std::make_unique<residue::Variables>(files, id);
      return slot.get();
    });
    for (size_t i = 0; i < stack.frames.size() && i < options.keep_registers; ++i) {
      for (const LocalVariable& variable : locals.of(i)) {
        std::printf("%u\t%zu\t%s\t%s\t%u\t%s\t%s\t%s\t%llu\t%s\n", thread.tid, i,
                    residue::hex(stack.frames[i].pc).c_str(), variable.function.c_str(),
                    variable.line, variable.is_parameter ? "arg" : "var", variable.name.c_str(),
                    variable.type.c_str(), static_cast<unsigned long long>(variable.size),
                    place_of(variable, stack.registers[i]).c_str());
      }
    }
  }
  return 0;
}
