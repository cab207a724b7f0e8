// Builders of DWARF and of the ELF files around it, written from the DWARF specifications. They
// share nothing with the reader: numbers stand here as the standard's tables have them.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "symbolize/symbol_file.h"

namespace residue::test {

// How a unit is written.
struct Shape {
  unsigned version = 5;
  bool dwarf64 = false;
  unsigned address_size = 8;
  bool big_endian = false;

  unsigned offset_size() const { return dwarf64 ? 8 : 4; }
  std::string name() const;
};

class Bytes {
 public:
  explicit Bytes(Shape shape = {}) : shape_(shape) {}

  Bytes& number(uint64_t value, unsigned size);
  Bytes& u8(uint64_t value) { return number(value, 1); }
  Bytes& u16(uint64_t value) { return number(value, 2); }
  Bytes& u32(uint64_t value) { return number(value, 4); }
  Bytes& u64(uint64_t value) { return number(value, 8); }
  Bytes& address(uint64_t value) { return number(value, shape_.address_size); }
  Bytes& offset(uint64_t value) { return number(value, shape_.offset_size()); }
  Bytes& uleb(uint64_t value);
  Bytes& sleb(int64_t value);
  Bytes& text(const std::string& value);  // with its NUL
  Bytes& raw(const std::string& value);
  // A length in front of everything from here to end(): of 4, or 12 bytes in 64-bit DWARF.
  size_t begin_length();
  void end_length(size_t begin);
  void patch(size_t at, uint64_t value, unsigned size);

  size_t size() const { return data_.size(); }
  const std::string& data() const { return data_; }
  const Shape& shape() const { return shape_; }

 private:
  Shape shape_;
  std::string data_;
};

// An attribute: its number and form in the standard, and a value as the form needs it.
struct At {
  uint16_t attribute;
  uint16_t form;
  uint64_t number = 0;
  std::string text = {};  // strings, and the bytes of blocks
};

// Writes units and, beside them, the abbreviations that they need (a table for each unit).
class Info {
 public:
  explicit Info(Shape shape) : bytes_(shape), abbrev_(shape), strings_(shape) {}

  // Begins a unit; `type` is DW_UT_* (1 compile), `id` the DWO id or type signature. Returns the
  // offset of its header.
  size_t begin_unit(uint8_t type = 1, uint64_t id = 0);
  void end_unit();
  // Writes an entry; with `children`, those that follow are its children until end(). Returns its
  // offset in the section.
  size_t entry(uint16_t tag, const std::vector<At>& attributes, bool children = false);
  void end() { bytes_.u8(0); }
  // The offset of a string in .debug_str.
  size_t string(const std::string& text);
  // For a reference from the current unit (DW_FORM_ref4).
  uint64_t in_unit(size_t entry) const { return entry - unit_; }
  // Type units of version 5: where the type's entry lies.
  void type_entry(size_t entry);

  Bytes& bytes() { return bytes_; }
  const std::string& abbreviations() const { return abbrev_.data(); }
  const std::string& strings() const { return strings_.data(); }

 private:
  void value(const At& at);

  Bytes bytes_;
  Bytes abbrev_;
  Bytes strings_;
  size_t unit_ = 0;
  size_t length_ = 0;
  size_t type_entry_at_ = 0;
  uint64_t code_ = 0;
};

// A line table: the header for one directory "src" and the files a.c and b.c (indexes first and
// first + 1, see first_file()), and a program.
class Lines {
 public:
  explicit Lines(Shape shape, unsigned min_instruction = 1, unsigned max_operations = 1);
  static unsigned first_file(const Shape& shape) { return shape.version >= 5 ? 0 : 1; }

  Bytes& program() { return program_; }
  Lines& set_address(uint64_t address);
  // A row at the current address.
  Lines& row(unsigned file, unsigned line);
  Lines& advance(uint64_t bytes);
  Lines& end_sequence();
  std::string finish(const std::string& compilation_dir);

 private:
  Shape shape_;
  unsigned min_instruction_;
  unsigned max_operations_;
  unsigned line_ = 1;
  Bytes program_;
};

// An ELF file with nothing but sections.
std::unique_ptr<SymbolFile> make_elf(const Shape& shape,
                                     const std::map<std::string, std::string>& sections);
std::string elf_bytes(const Shape& shape, const std::map<std::string, std::string>& sections);

}  // namespace residue::test
