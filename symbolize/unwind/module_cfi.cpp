#include "symbolize/unwind/module_cfi.h"

#include <algorithm>

#include "symbolize/debug_files.h"
#include "symbolize/symbol_file.h"

namespace residue {
namespace {

// gABI, d_tag.
constexpr uint64_t kDynamicPltGot = 3;
constexpr uint64_t kMaxDynamic = 512;
constexpr size_t kMaxProblems = 16;

}  // namespace

ModuleCfi::ModuleCfi(const Image& image, ModuleId id, const CfiBytes& memory,
                     const DebugFiles& files)
    : image_(image),
      module_(image.modules[id.value()]),
      id_(id),
      memory_(memory),
      files_(files),
      in_files_(std::make_unique<FileTables>()),
      damage_(std::make_unique<Damage>()) {
  bases_.width = image.pointer_width;
  bases_.bias = module_.bias;
  bases_.memory = &memory;
  // What GCC's run-time takes for textrel and datarel: nothing in the program says it.
  for (const Segment& segment : module_.segments) {
    if (!segment.permissions.execute) continue;
    bases_.text = segment.range.base.value();
    break;
  }
  bases_.data = global_offset_table();
  open_memory();
}

// DT_PLTGOT. ld.so adds the load address in place, musl's does not, nor is a file's page relocated.
uint64_t ModuleCfi::global_offset_table() const {
  if (!module_.dynamic) return 0;
  const uint64_t word = image_.pointer_width;
  Address at = module_.dynamic->base;
  for (uint64_t n = 0; n < kMaxDynamic; ++n, at = at + ByteCount(2 * word)) {
    const auto tag = image_.word(at);
    const auto value = image_.word(at + ByteCount(word));
    if (!tag || !value || *tag == 0) break;
    if (*tag != kDynamicPltGot) continue;
    return module_.range.contains(Address(*value)) ? *value : *value + module_.bias;
  }
  return 0;
}

void ModuleCfi::open_memory() {
  if (!module_.unwind_index) return;
  const uint64_t header = module_.unwind_index->base.value();
  uint64_t limit = module_.range.end().value();
  for (const Segment& segment : module_.segments) {
    // .eh_frame lies in the header's segment.
    if (segment.range.contains(module_.unwind_index->base)) limit = segment.range.end().value();
  }
  if (limit <= header) return;
  CfiSection section;
  section.bytes = &memory_;
  section.order = image_.order;
  section.bases = bases_;
  section.bases.module = module_.range;
  in_memory_.emplace(CfiTable::of_header(section, *module_.unwind_index, limit));
}

void ModuleCfi::add_section(const SymbolFile& file, const char* name, bool is_debug_frame) const {
  if (!file.has(name)) return;
  const auto bytes = file.section(name);
  if (bytes.empty()) return;
  CfiSection section;
  // .debug_frame is not loaded: its own address is 0, and no pointer in it depends on it.
  section.start = is_debug_frame ? 0 : file.section_address(name).value_or(0) + module_.bias;
  if (bytes.size() > ~uint64_t{0} - section.start) return;
  section.end = section.start + bytes.size();
  section.is_debug_frame = is_debug_frame;
  section.order = file.order();
  section.bases = bases_;
  in_files_->bytes.push_back(std::make_unique<CfiBytes>(bytes, section.start));
  section.bytes = in_files_->bytes.back().get();
  in_files_->tables.push_back({CfiTable::of_section(section), !is_debug_frame});
}

void ModuleCfi::open_files() const {
  const ModuleFiles& files = files_.of(id_);
  std::vector<const SymbolFile*> seen;
  for (const SymbolFile* file : {files.binary, files.debug, files.mini, files.dump_pages}) {
    if (file == nullptr || std::find(seen.begin(), seen.end(), file) != seen.end()) continue;
    seen.push_back(file);
    // A debug file's .eh_frame has a header and no bytes.
    if (file == files.binary || file == files.dump_pages) add_section(*file, ".eh_frame", false);
    add_section(*file, ".debug_frame", true);
  }
  in_files_->open = true;
}

std::optional<CfiRow> ModuleCfi::row_in(const CfiTable& table, uint64_t pc) const {
  const auto fde = table.find(pc);
  if (!fde) return std::nullopt;
  auto row = cfi_row(table.section(), *fde, pc, image_.architecture);
  if (row) return std::move(row).value();
  const std::lock_guard lock(damage_->mutex);
  if (damage_->rows.size() < kMaxProblems) damage_->rows.push_back(to_string(row.error()));
  return std::nullopt;
}

std::optional<CfiRow> ModuleCfi::row(uint64_t pc) const {
  if (in_memory_) {
    if (auto row = row_in(*in_memory_, pc)) return row;
  }
  std::call_once(in_files_->once, [this] { open_files(); });
  // What a sound search table in memory does not know, no .eh_frame of the same program does.
  const bool memory_is_whole =
      in_memory_ && in_memory_->has_search_table() && in_memory_->problem().empty();
  for (const FileTable& file : in_files_->tables) {
    if (file.is_eh_frame && memory_is_whole) continue;
    if (auto row = row_in(file.table, pc)) return row;
  }
  return std::nullopt;
}

std::vector<std::string> ModuleCfi::problems() const {
  std::vector<std::string> problems;
  const auto add = [&](const CfiTable& table) {
    if (auto problem = table.problem(); !problem.empty()) problems.push_back(std::move(problem));
  };
  if (in_memory_) add(*in_memory_);
  if (in_files_->open) {
    for (const FileTable& file : in_files_->tables) add(file.table);
  }
  const std::lock_guard lock(damage_->mutex);
  problems.insert(problems.end(), damage_->rows.begin(), damage_->rows.end());
  return problems;
}

}  // namespace residue
