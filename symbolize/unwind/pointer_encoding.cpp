#include "symbolize/unwind/pointer_encoding.h"

#include "symbolize/dwarf/leb128.h"

namespace residue {
namespace {

template <typename T, typename U>
Result<uint64_t> read_signed(ByteCursor& cursor) {
  RESIDUE_ASSIGN(const U raw, cursor.read<U>());
  return static_cast<uint64_t>(int64_t{static_cast<T>(raw)});
}

template <typename U>
Result<uint64_t> read_unsigned(ByteCursor& cursor) {
  RESIDUE_ASSIGN(const U raw, cursor.read<U>());
  return uint64_t{raw};
}

Result<uint64_t> read_plain(ByteCursor& cursor, uint8_t format, unsigned width) {
  switch (format) {
    case kPointerAbsolute:
      return width == 2 ? read_unsigned<uint16_t>(cursor) : cursor.read_word(width);
    case kPointerSigned:
      if (width == 2) return read_signed<int16_t, uint16_t>(cursor);
      return width == 4 ? read_signed<int32_t, uint32_t>(cursor) : cursor.read<uint64_t>();
    case kPointerUleb128:
      return read_uleb128(cursor);
    case kPointerUdata2:
      return read_unsigned<uint16_t>(cursor);
    case kPointerUdata4:
      return read_unsigned<uint32_t>(cursor);
    case kPointerUdata8:
    case kPointerSdata8:
      return cursor.read<uint64_t>();
    case kPointerSleb128: {
      RESIDUE_ASSIGN(const int64_t value, read_sleb128(cursor));
      return static_cast<uint64_t>(value);
    }
    case kPointerSdata2:
      return read_signed<int16_t, uint16_t>(cursor);
    case kPointerSdata4:
      return read_signed<int32_t, uint32_t>(cursor);
    default:
      return Error{ErrorCode::kUnsupported, "pointer of unknown format " + hex(format),
                   cursor.offset()};
  }
}

uint64_t cut(uint64_t value, unsigned width) {
  return width >= 8 ? value : value & ((uint64_t{1} << (8 * width)) - 1);
}

uint64_t absolute(uint64_t value, const PointerBases& bases) {
  if (!bases.module) return value + bases.bias;
  if (bases.module->contains(Address(value))) return value;
  const uint64_t moved = cut(value + bases.bias, bases.width);
  return bases.module->contains(Address(moved)) ? moved : value;
}

}  // namespace

unsigned encoded_size(uint8_t encoding, unsigned width) {
  if ((encoding & kPointerBaseMask) == kPointerAligned) return 0;
  switch (encoding & kPointerFormatMask) {
    case kPointerAbsolute:
    case kPointerSigned:
      return width;
    case kPointerUdata2:
    case kPointerSdata2:
      return 2;
    case kPointerUdata4:
    case kPointerSdata4:
      return 4;
    case kPointerUdata8:
    case kPointerSdata8:
      return 8;
    default:
      return 0;
  }
}

Result<uint64_t> read_encoded(ByteCursor& cursor, uint8_t encoding, const PointerBases& bases) {
  if (encoding == kPointerOmitted) {
    return Error{ErrorCode::kNotFound, "the pointer is left out", cursor.offset()};
  }
  const uint8_t base = encoding & kPointerBaseMask;
  uint64_t value = 0;
  if (base == kPointerAligned) {
    const uint64_t past = cursor.offset().value() % bases.width;
    if (past != 0) RESIDUE_TRY(cursor.skip(bases.width - past));
  }
  const uint64_t here = cursor.offset().value();
  RESIDUE_ASSIGN(value, read_plain(cursor, encoding & kPointerFormatMask, bases.width));
  switch (base) {
    case kPointerAbsolute:
    case kPointerAligned:
      value = absolute(value, bases);
      break;
    case kPointerPcRelative:
      value += here;
      break;
    case kPointerTextRelative:
      value += bases.text;
      break;
    case kPointerDataRelative:
      value += bases.data;
      break;
    case kPointerFunctionRelative:
      value += bases.function;
      break;
    default:
      return Error{ErrorCode::kUnsupported, "pointer relative to the unknown base " + hex(base),
                   FileOffset(here)};
  }
  value = cut(value, bases.width);
  if ((encoding & kPointerIndirect) == 0) return value;
  const auto target = bases.memory == nullptr ? std::span<const std::byte>()
                                              : bases.memory->view(value, bases.width);
  if (target.size() < bases.width) {
    return Error{ErrorCode::kNotMapped, "an indirect pointer leads to " + hex(value),
                 FileOffset(here)};
  }
  ByteCursor pointed(target, cursor.order());
  return read_plain(pointed, kPointerAbsolute, bases.width);
}

}  // namespace residue
