#include "dwarf_builder.h"

#include <cstdlib>
#include <utility>

namespace residue::test {

std::string Shape::name() const {
  std::string text = "Dwarf" + std::to_string(version);
  text += dwarf64 ? "Long" : "Short";
  text += "Address" + std::to_string(address_size);
  text += big_endian ? "Big" : "Little";
  return text;
}

Bytes& Bytes::number(uint64_t value, unsigned size) {
  for (unsigned i = 0; i < size; ++i) {
    const unsigned place = shape_.big_endian ? size - 1 - i : i;
    data_ += static_cast<char>(place < 8 ? value >> (place * 8) & 0xff : 0);
  }
  return *this;
}

Bytes& Bytes::uleb(uint64_t value) {
  do {
    const uint64_t low = value & 0x7f;
    value >>= 7;
    data_ += static_cast<char>(low | (value != 0 ? 0x80 : 0));
  } while (value != 0);
  return *this;
}

Bytes& Bytes::sleb(int64_t value) {
  for (bool more = true; more;) {
    const auto low = static_cast<unsigned>(value & 0x7f);
    value >>= 7;
    more = !((value == 0 && (low & 0x40) == 0) || (value == -1 && (low & 0x40) != 0));
    data_ += static_cast<char>(low | (more ? 0x80 : 0));
  }
  return *this;
}

Bytes& Bytes::text(const std::string& value) {
  data_ += value;
  data_ += '\0';
  return *this;
}

Bytes& Bytes::raw(const std::string& value) {
  data_ += value;
  return *this;
}

size_t Bytes::begin_length() {
  if (shape_.dwarf64) u32(0xffffffff);
  offset(0);
  return data_.size();
}

void Bytes::end_length(size_t begin) {
  patch(begin - shape_.offset_size(), data_.size() - begin, shape_.offset_size());
}

void Bytes::patch(size_t at, uint64_t value, unsigned size) {
  Bytes other(shape_);
  other.number(value, size);
  data_.replace(at, size, other.data());
}

size_t Info::begin_unit(uint8_t type, uint64_t id) {
  const Shape& shape = bytes_.shape();
  unit_ = bytes_.size();
  length_ = bytes_.begin_length();
  bytes_.u16(shape.version);
  if (shape.version >= 5) bytes_.u8(type).u8(shape.address_size);
  bytes_.offset(abbrev_.size());
  if (shape.version < 5) bytes_.u8(shape.address_size);
  const bool type_unit = type == 2 || type == 6;
  if (type_unit || (shape.version >= 5 && (type == 4 || type == 5))) bytes_.u64(id);
  type_entry_at_ = bytes_.size();
  if (type_unit) bytes_.offset(0);
  code_ = 0;
  return unit_;
}

void Info::type_entry(size_t entry) {
  bytes_.patch(type_entry_at_, entry - unit_, bytes_.shape().offset_size());
}

void Info::end_unit() {
  bytes_.end_length(length_);
  abbrev_.u8(0);
}

size_t Info::string(const std::string& text) {
  const size_t at = strings_.size();
  strings_.text(text);
  return at;
}

size_t Info::entry(uint16_t tag, const std::vector<At>& attributes, bool children) {
  const size_t at = bytes_.size();
  abbrev_.uleb(++code_).uleb(tag).u8(children ? 1 : 0);
  bytes_.uleb(code_);
  for (const At& attribute : attributes) {
    abbrev_.uleb(attribute.attribute).uleb(attribute.form);
    if (attribute.form == 0x21) {
      abbrev_.sleb(static_cast<int64_t>(attribute.number));
    } else {
      value(attribute);
    }
  }
  abbrev_.uleb(0).uleb(0);
  return at;
}

// DWARF 5, 7.5.5 and 7.5.6.
void Info::value(const At& at) {
  const Shape& shape = bytes_.shape();
  switch (at.form) {
    case 0x01:  // addr
      bytes_.address(at.number);
      break;
    case 0x0b:  // data1
    case 0x0c:  // flag
    case 0x11:  // ref1
    case 0x25:  // strx1
    case 0x29:  // addrx1
      bytes_.u8(at.number);
      break;
    case 0x05:  // data2
    case 0x12:  // ref2
      bytes_.u16(at.number);
      break;
    case 0x06:  // data4
    case 0x13:  // ref4
      bytes_.u32(at.number);
      break;
    case 0x07:  // data8
    case 0x14:  // ref8
    case 0x20:  // ref_sig8
      bytes_.u64(at.number);
      break;
    case 0x0d:  // sdata
      bytes_.sleb(static_cast<int64_t>(at.number));
      break;
    case 0x0f:  // udata
    case 0x15:  // ref_udata
    case 0x1a:  // strx
    case 0x1b:  // addrx
    case 0x22:  // loclistx
    case 0x23:  // rnglistx
      bytes_.uleb(at.number);
      break;
    case 0x08:  // string
      bytes_.text(at.text);
      break;
    case 0x0e:    // strp
    case 0x17:    // sec_offset
    case 0x1f:    // line_strp
    case 0x1d:    // strp_sup
    case 0x1f20:  // GNU_ref_alt
    case 0x1f21:  // GNU_strp_alt
      bytes_.offset(at.number);
      break;
    case 0x10:  // ref_addr
      bytes_.number(at.number, shape.version <= 2 ? shape.address_size : shape.offset_size());
      break;
    case 0x0a:  // block1
      bytes_.u8(at.text.size()).raw(at.text);
      break;
    case 0x09:  // block
    case 0x18:  // exprloc
      bytes_.uleb(at.text.size()).raw(at.text);
      break;
    case 0x19:  // flag_present
      break;
    default:
      std::abort();
  }
}

Lines::Lines(Shape shape, unsigned min_instruction, unsigned max_operations)
    : shape_(shape),
      min_instruction_(min_instruction),
      max_operations_(max_operations),
      program_(shape) {}

Lines& Lines::set_address(uint64_t address) {
  program_.u8(0).uleb(1 + shape_.address_size).u8(2).address(address);
  return *this;
}

Lines& Lines::row(unsigned file, unsigned line) {
  program_.u8(4).uleb(file);
  program_.u8(3).sleb(static_cast<int64_t>(line) - static_cast<int64_t>(line_));
  program_.u8(1);
  line_ = line;
  return *this;
}

Lines& Lines::advance(uint64_t bytes) {
  program_.u8(2).uleb(bytes / min_instruction_);
  return *this;
}

Lines& Lines::end_sequence() {
  program_.u8(0).uleb(1).u8(1);
  line_ = 1;
  return *this;
}

std::string Lines::finish(const std::string& compilation_dir) {
  Bytes out(shape_);
  const size_t length = out.begin_length();
  out.u16(shape_.version);
  if (shape_.version >= 5) out.u8(shape_.address_size).u8(0);
  const size_t header_at = out.size();
  out.offset(0);
  const size_t header = out.size();
  out.u8(min_instruction_);
  if (shape_.version >= 4) out.u8(max_operations_);
  // default_is_stmt, line_base -5, line_range 14, opcode_base 13, as GCC and clang have them.
  out.u8(1).u8(0xfb).u8(14).u8(13);
  for (const unsigned operands : {0u, 1u, 1u, 1u, 1u, 0u, 0u, 0u, 1u, 0u, 0u, 1u}) out.u8(operands);
  if (shape_.version >= 5) {
    out.u8(1).uleb(1).uleb(0x08).uleb(2).text(compilation_dir).text("src");
    out.u8(2).uleb(1).uleb(0x08).uleb(2).uleb(0x0b);
    out.uleb(2).text("a.c").u8(1).text("b.c").u8(0);
  } else {
    out.text("src").u8(0);
    out.text("a.c").uleb(1).uleb(0).uleb(0);
    out.text("b.c").uleb(0).uleb(0).uleb(0);
    out.u8(0);
  }
  out.patch(header_at, out.size() - header, shape_.offset_size());
  out.raw(program_.data());
  out.end_length(length);
  return out.data();
}

std::string elf_bytes(const Shape& shape, const std::map<std::string, std::string>& sections) {
  const bool wide = shape.address_size == 8;
  Shape words = shape;
  words.address_size = wide ? 8 : 4;
  Bytes out(words);
  const unsigned header_size = wide ? 64 : 52;
  const unsigned section_size = wide ? 64 : 40;
  std::string names(1, '\0');
  std::string contents;
  struct Place {
    size_t name, offset, size;
  };
  std::vector<Place> places;
  for (const auto& [name, bytes] : sections) {
    places.push_back({names.size(), header_size + contents.size(), bytes.size()});
    names += name;
    names += '\0';
    contents += bytes;
  }
  const size_t shstrtab = names.size();
  names += ".shstrtab";
  names += '\0';
  places.push_back({shstrtab, header_size + contents.size(), names.size()});
  contents += names;
  out.raw(
         "\x7f"
         "ELF")
      .u8(wide ? 2 : 1)
      .u8(shape.big_endian ? 2 : 1)
      .u8(1)
      .raw(std::string(9, '\0'));
  // ET_DYN; any machine; version; entry; program headers; section headers
  out.u16(3).u16(wide ? 62 : 3).u32(1).address(0).address(0).address(header_size + contents.size());
  out.u32(0).u16(header_size).u16(0).u16(0).u16(section_size);
  out.u16(places.size() + 1).u16(places.size());
  out.raw(contents).raw(std::string(section_size, '\0'));
  for (const Place& place : places) {
    const bool strings = &place == &places.back();
    out.u32(place.name).u32(strings ? 3 : 1).address(0).address(0);
    out.address(place.offset).address(place.size).u32(0).u32(0).address(1).address(0);
  }
  return out.data();
}

std::unique_ptr<SymbolFile> make_elf(const Shape& shape,
                                     const std::map<std::string, std::string>& sections) {
  const std::string bytes = elf_bytes(shape, sections);
  const auto data = std::as_bytes(std::span<const char>(bytes));
  auto file = SymbolFile::of_memory({data.begin(), data.end()}, "synthetic");
  return file ? std::move(*file) : nullptr;
}

}  // namespace residue::test
