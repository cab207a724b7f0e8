// Where the variables of one frame are: their locations evaluated in that frame.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "symbolize/dwarf/expression.h"
#include "symbolize/dwarf/frame_scopes.h"
#include "symbolize/dwarf/unit.h"
#include "symbolize/dwarf/variables.h"

namespace residue::dwarf {

// Answers what an expression asks of a frame: the process's part from a FrameContext, the unit's
// part from DWARF.
class FrameValues : public ExpressionContext {
 public:
  // Finds the scopes that a frame's caller is in. Null where they are not known.
  struct Place {
    const Unit* unit = nullptr;
    const FrameScopes* scopes = nullptr;
  };
  using FindPlace = std::function<Place(uint64_t lookup_pc)>;

  // `depth`: how many callers this was asked through. REQUIRES: all outlive this.
  FrameValues(const Place& place, uint64_t pc, const FrameContext& frame, const FindPlace& find,
              unsigned depth = 0)
      : place_(place), pc_(pc), frame_(frame), find_(find), depth_(depth) {}

  std::vector<LocationPiece> pieces_of(const ScopedVariable& variable) const;
  Result<uint64_t> value_of(std::span<const std::byte> expression) const;

  std::optional<uint64_t> reg(unsigned dwarf) const override { return frame_.reg(dwarf); }
  bool read(uint64_t address, std::span<std::byte> out) const override {
    return frame_.read(address, out);
  }
  std::optional<uint64_t> cfa() const override { return frame_.cfa(); }
  uint64_t relocate(uint64_t address) const override { return frame_.relocate(address); }
  std::optional<uint64_t> tls(uint64_t offset) const override { return frame_.tls(offset); }
  std::optional<uint64_t> frame_base() const override;
  std::optional<uint64_t> indexed_address(uint64_t index) const override {
    return place_.unit->indexed_address(index);
  }
  std::optional<uint64_t> entry_value(std::span<const std::byte> expression) const override;
  std::optional<uint64_t> parameter(uint64_t die) const override;
  std::optional<BaseType> base_type(uint64_t die) const override;
  std::optional<std::span<const std::byte>> called(uint64_t die, bool in_section) const override;

 private:
  ExpressionFormat format() const;
  bool calls_this(const Unit& unit, const Entry& site, const FrameValues& caller) const;
  std::optional<uint64_t> passed(const std::function<bool(const Unit&, const Entry&)>& is_it) const;

  const Place place_;
  const uint64_t pc_;
  const FrameContext& frame_;
  const FindPlace& find_;
  const unsigned depth_;
  mutable bool in_frame_base_ = false;
};

}  // namespace residue::dwarf
