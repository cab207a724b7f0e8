#include "symbolize/dwarf/abbreviations.h"

#include <algorithm>
#include <optional>

namespace residue::dwarf {
namespace {

// Far above what producers write (the largest units of 2024 have some thousand abbreviations with
// some tens of attributes), and small enough for a table full of them.
constexpr size_t kMaxAbbreviations = 1 << 20;
constexpr size_t kMaxSpecs = 1 << 22;

// How a value whose size is in the value is passed over; nullopt for a form that nobody defines.
std::optional<SkipStep::Kind> variable_size(uint16_t form) {
  switch (form) {
    case kFormSdata:
    case kFormUdata:
    case kFormRefUdata:
    case kFormStrx:
    case kFormAddrx:
    case kFormLoclistx:
    case kFormRnglistx:
    case kFormGnuAddrIndex:
    case kFormGnuStrIndex:
      return SkipStep::kLeb;
    case kFormString:
      return SkipStep::kString;
    case kFormBlock1:
      return SkipStep::kBlock1;
    case kFormBlock2:
      return SkipStep::kBlock2;
    case kFormBlock4:
      return SkipStep::kBlock4;
    case kFormBlock:
    case kFormExprloc:
      return SkipStep::kBlockLeb;
    case kFormIndirect:
      return SkipStep::kIndirect;
    default:
      return std::nullopt;
  }
}

}  // namespace

std::optional<unsigned> fixed_size(uint16_t form, const Format& format) {
  switch (form) {
    case kFormFlagPresent:
    case kFormImplicitConst:
      return 0;
    case kFormData1:
    case kFormFlag:
    case kFormRef1:
    case kFormStrx1:
    case kFormAddrx1:
      return 1;
    case kFormData2:
    case kFormRef2:
    case kFormStrx2:
    case kFormAddrx2:
      return 2;
    case kFormStrx3:
    case kFormAddrx3:
      return 3;
    case kFormData4:
    case kFormRef4:
    case kFormRefSup4:
    case kFormStrx4:
    case kFormAddrx4:
      return 4;
    case kFormData8:
    case kFormRef8:
    case kFormRefSup8:
    case kFormRefSig8:
      return 8;
    case kFormData16:
      return 16;
    case kFormAddr:
      return format.address_size;
    case kFormRefAddr:
      return format.ref_addr_size();
    case kFormStrp:
    case kFormLineStrp:
    case kFormSecOffset:
    case kFormStrpSup:
    case kFormGnuRefAlt:
    case kFormGnuStrpAlt:
      return format.offset_size;
    default:
      return std::nullopt;
  }
}

Abbreviations::Abbreviations(std::span<const std::byte> section, uint64_t offset,
                             const Format& format) {
  Cursor cursor(section, offset, format.order);
  uint64_t last = 0;
  bool sorted = true;
  while (items_.size() < kMaxAbbreviations && specs_.size() < kMaxSpecs) {
    Abbreviation item;
    item.code = cursor.uleb();
    // The last table of a section that was cut may lack its end; what was read is whole.
    if (!cursor.ok() || item.code == 0) break;
    item.tag = static_cast<uint16_t>(std::min<uint64_t>(cursor.uleb(), 0xffff));
    item.has_children = cursor.u8() != 0;
    if (!read_specs(cursor, item)) break;
    compile(item, format);
    sorted = sorted && item.code > last;
    last = item.code;
    items_.push_back(item);
  }
  damaged_ = damaged_ || !cursor.ok();
  if (sorted) return;
  std::stable_sort(items_.begin(), items_.end(),
                   [](const auto& a, const auto& b) { return a.code < b.code; });
}

bool Abbreviations::read_specs(Cursor& cursor, Abbreviation& item) {
  item.first_spec = static_cast<uint32_t>(specs_.size());
  while (specs_.size() < kMaxSpecs) {
    const uint64_t attribute = cursor.uleb();
    const uint64_t form = cursor.uleb();
    if (!cursor.ok()) break;
    if (attribute == 0 && form == 0) {
      item.spec_count = static_cast<uint32_t>(specs_.size()) - item.first_spec;
      return true;
    }
    if (attribute == kAtLowPc) item.has_low_pc = true;
    if (attribute == kAtRanges) item.has_ranges = true;
    const auto narrow = static_cast<uint16_t>(std::min<uint64_t>(form, 0xffff));
    const bool known =
        fixed_size(narrow, Format{}).has_value() || variable_size(narrow).has_value();
    if (!known) break;
    AttributeSpec spec{static_cast<uint16_t>(attribute > 0xffff ? 0 : attribute), narrow, 0};
    if (narrow == kFormImplicitConst) {
      spec.constant = static_cast<uint32_t>(constants_.size());
      constants_.push_back(cursor.sleb());
    }
    specs_.push_back(spec);
  }
  damaged_ = true;
  specs_.resize(item.first_spec);
  return false;
}

void Abbreviations::compile(Abbreviation& item, const Format& format) {
  item.first_step = static_cast<uint32_t>(steps_.size());
  for (const AttributeSpec& spec : specs(item)) {
    const auto fixed = fixed_size(spec.form, format);
    if (spec.attribute == kAtSibling && spec.form != kFormIndirect) {
      steps_.push_back({SkipStep::kSibling, spec.form, 0});
    } else if (!fixed) {
      steps_.push_back({*variable_size(spec.form), spec.form, 0});
    } else if (*fixed != 0) {
      const bool joins = steps_.size() > item.first_step && steps_.back().kind == SkipStep::kBytes;
      if (!joins) steps_.push_back({SkipStep::kBytes, 0, 0});
      steps_.back().bytes += *fixed;
    }
  }
  item.step_count = static_cast<uint32_t>(steps_.size()) - item.first_step;
}

const Abbreviation* Abbreviations::find_sparse(uint64_t code) const {
  const auto found =
      std::lower_bound(items_.begin(), items_.end(), code,
                       [](const Abbreviation& a, uint64_t wanted) { return a.code < wanted; });
  return found != items_.end() && found->code == code ? &*found : nullptr;
}

size_t Abbreviations::memory() const {
  return items_.capacity() * sizeof(Abbreviation) + specs_.capacity() * sizeof(AttributeSpec) +
         steps_.capacity() * sizeof(SkipStep) + constants_.capacity() * sizeof(int64_t);
}

}  // namespace residue::dwarf
