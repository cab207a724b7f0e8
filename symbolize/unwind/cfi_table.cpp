#include "symbolize/unwind/cfi_table.h"

#include <algorithm>
#include <map>
#include <memory>

#include "formats/base/text.h"

namespace residue {
namespace {

// LSB 5.0, 10.6.2: version, three encodings.
constexpr uint8_t kHeaderVersion = 1;
// The largest programs have about two million functions.
constexpr size_t kMaxIndex = size_t{1} << 24;

}  // namespace

CfiTable::CfiTable(const CfiSection& section)
    : section_(section), lazy_(std::make_unique<Lazy>()) {}

CfiTable CfiTable::of_section(const CfiSection& section) { return CfiTable(section); }

CfiTable CfiTable::of_header(const CfiSection& section, AddressRange header, uint64_t limit) {
  CfiTable table(section);
  table.section_.start = table.section_.end = 0;
  if (const auto result = table.read_header(header, limit); !result) table.note(result.error());
  return table;
}

Result<void> CfiTable::read_header(AddressRange header, uint64_t limit) {
  const uint64_t base = header.base.value();
  ByteCursor cursor(section_.bytes->view(base, std::min<uint64_t>(header.size.value(), 64)),
                    section_.order, FileOffset(base));
  RESIDUE_ASSIGN(const uint8_t version, cursor.read<uint8_t>());
  RESIDUE_ASSIGN(const uint8_t frame_encoding, cursor.read<uint8_t>());
  RESIDUE_ASSIGN(const uint8_t count_encoding, cursor.read<uint8_t>());
  RESIDUE_ASSIGN(const uint8_t table_encoding, cursor.read<uint8_t>());
  if (version != kHeaderVersion) {
    return Error{ErrorCode::kUnsupported, ".eh_frame_hdr has version " + std::to_string(version),
                 FileOffset(base)};
  }
  header_bases_ = section_.bases;
  header_bases_.data = base;  // datarel counts from the header in here
  RESIDUE_ASSIGN(const uint64_t frame, read_encoded(cursor, frame_encoding, header_bases_));
  if (frame >= limit) {
    return Error{ErrorCode::kCorrupt, ".eh_frame_hdr leads to " + hex(frame), FileOffset(base)};
  }
  // The section's beginning is where the header says; entries may lie before it in theory only.
  section_.start = frame;
  section_.end = limit;
  if (count_encoding == kPointerOmitted || table_encoding == kPointerOmitted) return {};
  PointerBases none;  // a number, not an address
  none.width = header_bases_.width;
  RESIDUE_ASSIGN(const uint64_t count, read_encoded(cursor, count_encoding, none));
  SearchTable table;
  table.address = cursor.offset().value();
  table.encoding = table_encoding;
  table.size = encoded_size(table_encoding, header_bases_.width);
  if (table.size == 0) return {};
  const uint64_t left = header.size.value() - (table.address - base);
  table.count = std::min(count, left / (2 * table.size));
  if (table.count < count) {
    note({ErrorCode::kCorrupt, ".eh_frame_hdr is too short for its table", FileOffset(base)});
    return {};
  }
  search_ = table;
  return {};
}

Result<CfiTable::Pair> CfiTable::pair_at(uint64_t n) const {
  const uint64_t at = search_->address + n * 2 * search_->size;
  ByteCursor cursor(section_.bytes->view(at, 2 * search_->size), section_.order, FileOffset(at));
  Pair pair;
  RESIDUE_ASSIGN(pair.begin, read_encoded(cursor, search_->encoding, header_bases_));
  RESIDUE_ASSIGN(pair.fde, read_encoded(cursor, search_->encoding, header_bases_));
  return pair;
}

// The last pair that begins at or before `pc`. Pairs met on the way must be in order, and the FDE
// must begin where its pair says: a table that was damaged is not believed.
Result<std::optional<Fde>> CfiTable::search(uint64_t pc) const {
  uint64_t low = 0, high = search_->count;
  uint64_t below = 0, above = ~uint64_t{0};
  std::optional<Pair> found;
  while (low < high) {
    const uint64_t middle = low + (high - low) / 2;
    RESIDUE_ASSIGN(const Pair pair, pair_at(middle));
    if (pair.begin < below || pair.begin > above) {
      return Error{ErrorCode::kCorrupt, "the table of .eh_frame_hdr is not sorted",
                   FileOffset(search_->address)};
    }
    if (pair.begin <= pc) {
      below = pair.begin;
      low = middle + 1;
      found = pair;
    } else {
      above = pair.begin;
      high = middle;
    }
  }
  if (!found) return std::optional<Fde>();
  RESIDUE_ASSIGN(Fde fde, read_fde(section_, found->fde));
  if (fde.begin != found->begin) {
    return Error{ErrorCode::kCorrupt, ".eh_frame_hdr and .eh_frame contradict each other",
                 FileOffset(found->fde)};
  }
  if (!fde.covers(pc)) return std::optional<Fde>();
  return std::optional<Fde>(std::move(fde));
}

std::optional<Fde> CfiTable::find(uint64_t pc) const {
  if (section_.end == section_.start) return std::nullopt;
  if (search_) {
    auto found = search(pc);
    if (found) return std::move(found).value();
    note(found.error());
  }
  return find_in_index(pc);
}

std::optional<Fde> CfiTable::find_in_index(uint64_t pc) const {
  std::call_once(lazy_->once, [this] { build_index(); });
  const auto& index = lazy_->index;
  auto after =
      std::upper_bound(index.begin(), index.end(), pc,
                       [](uint64_t value, const IndexEntry& entry) { return value < entry.begin; });
  // Damaged entries may overlap; a few neighbours are looked at.
  for (int n = 0; n < 8 && after != index.begin(); ++n) {
    --after;
    if (pc >= after->end) continue;
    auto fde = read_fde(section_, after->fde);
    if (fde && fde->covers(pc)) return std::move(fde).value();
  }
  return std::nullopt;
}

void CfiTable::build_index() const {
  std::map<uint64_t, std::optional<Cie>> cies;
  std::vector<IndexEntry>& index = lazy_->index;
  for (uint64_t at = section_.start; at < section_.end && index.size() < kMaxIndex;) {
    const auto entry = read_cfi_entry(section_, at);
    if (!entry) {
      note(entry.error());
      break;
    }
    at = entry->next;
    if (entry->is_terminator) {
      // In memory nothing else says where .eh_frame ends. A section goes on: linkers put together
      // objects that each end in a terminator.
      if (section_.bases.module) break;
      continue;
    }
    if (entry->is_cie) continue;
    auto [known, is_new] = cies.try_emplace(entry->cie);
    if (is_new) {
      const auto cie_entry = read_cfi_entry(section_, entry->cie);
      if (cie_entry && cie_entry->is_cie) {
        if (auto cie = read_cie(section_, *cie_entry)) {
          known->second = std::move(cie).value();
        } else {
          note(cie.error());
        }
      }
    }
    if (!known->second) continue;
    const auto fde = read_fde(section_, *entry, *known->second);
    if (!fde || fde->end <= fde->begin) continue;
    index.push_back({fde->begin, fde->end, fde->address});
  }
  std::sort(index.begin(), index.end(), [](const IndexEntry& a, const IndexEntry& b) {
    return a.begin != b.begin ? a.begin < b.begin : a.fde > b.fde;
  });
}

void CfiTable::note(const Error& error) const {
  const std::lock_guard lock(lazy_->mutex);
  if (!lazy_->problem.empty()) return;
  // What the checked reader keeps as an offset is an address here.
  lazy_->problem = error.message;
  if (error.offset)
    lazy_->problem.append(" (at address ").append(hex(error.offset->value())).append(")");
}

std::string CfiTable::problem() const {
  const std::lock_guard lock(lazy_->mutex);
  return lazy_->problem;
}

}  // namespace residue
