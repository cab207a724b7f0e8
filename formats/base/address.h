// The vocabulary of places and amounts: addresses of the dumped process, byte counts, offsets in
// the dump file, and ids of things found in it. Distinct types, so that a file offset is never
// read as an address. All are plain 64-bit (or 32-bit, for ids) values and cost nothing.
//
// Addresses are always 64 bits wide; the pointer width of the dumped process is data of its Image.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>

namespace residue {

// An unsigned integer that does not mix with others. `Tag` only makes the type distinct.
template <typename Tag, typename Rep>
class StrongInt {
 public:
  using rep = Rep;
  constexpr StrongInt() = default;
  explicit constexpr StrongInt(Rep value) : value_(value) {}
  constexpr Rep value() const { return value_; }
  friend constexpr auto operator<=>(StrongInt, StrongInt) = default;

 private:
  Rep value_ = 0;
};

using ByteCount = StrongInt<struct ByteCountTag, uint64_t>;
using FileOffset = StrongInt<struct FileOffsetTag, uint64_t>;
using Address = StrongInt<struct AddressTag, uint64_t>;

// Dense ids: indexes into the tables of one analysis. kNone means "not known".
using ModuleId = StrongInt<struct ModuleIdTag, uint32_t>;
using ChunkId = StrongInt<struct ChunkIdTag, uint32_t>;
using TypeId = StrongInt<struct TypeIdTag, uint32_t>;
using OwnerId = StrongInt<struct OwnerIdTag, uint32_t>;
using HeapId = StrongInt<struct HeapIdTag, uint32_t>;

template <typename Id>
inline constexpr Id kNone = Id(~typename Id::rep{0});

// Address arithmetic wraps like the hardware's; use AddressRange to stay inside a mapping.
constexpr Address operator+(Address a, ByteCount n) { return Address(a.value() + n.value()); }
constexpr Address operator-(Address a, ByteCount n) { return Address(a.value() - n.value()); }
constexpr ByteCount operator-(Address a, Address b) { return ByteCount(a.value() - b.value()); }
constexpr ByteCount operator+(ByteCount a, ByteCount b) { return ByteCount(a.value() + b.value()); }
constexpr ByteCount operator-(ByteCount a, ByteCount b) { return ByteCount(a.value() - b.value()); }
constexpr FileOffset operator+(FileOffset a, ByteCount n) {
  return FileOffset(a.value() + n.value());
}

// [base, base + size). Base and size rather than base and end, so that a range may reach 2^64.
struct AddressRange {
  Address base;
  ByteCount size;

  constexpr bool contains(Address a) const { return a.value() - base.value() < size.value(); }
  constexpr bool contains(AddressRange inner) const {
    return contains(inner.base) &&
           inner.size.value() <= size.value() - (inner.base.value() - base.value());
  }
  constexpr bool overlaps(AddressRange other) const {
    if (size.value() == 0 || other.size.value() == 0) return false;
    return contains(other.base) || other.contains(base);
  }
  // One past the last byte; 0 for a range that reaches the end of the address space.
  constexpr Address end() const { return base + size; }
  friend constexpr bool operator==(AddressRange, AddressRange) = default;
};

}  // namespace residue

template <typename Tag, typename Rep>
struct std::hash<residue::StrongInt<Tag, Rep>> {
  size_t operator()(residue::StrongInt<Tag, Rep> v) const { return std::hash<Rep>()(v.value()); }
};
