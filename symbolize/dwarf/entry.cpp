#include "symbolize/dwarf/entry.h"

namespace residue::dwarf {
namespace {

std::span<const std::byte> string_bytes(Cursor& cursor) {
  return std::as_bytes(std::span<const char>(cursor.c_string()));
}

uint64_t sized_number(Cursor& cursor, uint16_t form, const Format& format) {
  // fixed_size() knows every form that comes here.
  return cursor.number_of(*fixed_size(form, format));
}

}  // namespace

Value read_value(Cursor& cursor, uint16_t form, const Format& format) {
  Value value;
  value.form = form;
  switch (form) {
    case kFormFlagPresent:
      value.number = 1;
      break;
    case kFormSdata:
      value.number = static_cast<uint64_t>(cursor.sleb());
      break;
    case kFormUdata:
    case kFormRefUdata:
    case kFormStrx:
    case kFormAddrx:
    case kFormLoclistx:
    case kFormRnglistx:
    case kFormGnuAddrIndex:
    case kFormGnuStrIndex:
      value.number = cursor.uleb();
      break;
    case kFormString:
      value.bytes = string_bytes(cursor);
      break;
    case kFormBlock1:
      value.bytes = cursor.block(cursor.u8());
      break;
    case kFormBlock2:
      value.bytes = cursor.block(cursor.u16());
      break;
    case kFormBlock4:
      value.bytes = cursor.block(cursor.u32());
      break;
    case kFormBlock:
    case kFormExprloc:
      value.bytes = cursor.block(cursor.uleb());
      break;
    case kFormData16:
      value.bytes = cursor.block(16);
      break;
    case kFormIndirect: {
      const uint64_t real = cursor.uleb();
      // Neither itself nor a constant of the abbreviation makes sense here.
      if (real == kFormIndirect || real == kFormImplicitConst || real > 0xffff) {
        cursor.fail();
        break;
      }
      return read_value(cursor, static_cast<uint16_t>(real), format);
    }
    default:
      if (fixed_size(form, format)) {
        value.number = sized_number(cursor, form, format);
      } else {
        cursor.fail();
      }
      break;
  }
  return value;
}

}  // namespace residue::dwarf
