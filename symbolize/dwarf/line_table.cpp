#include "symbolize/dwarf/line_table.h"

#include <algorithm>

namespace residue::dwarf {
namespace {

// DW_LNCT_*
constexpr uint64_t kContentPath = 1;
constexpr uint64_t kContentDirectory = 2;

// Of directories or files: units of 2024 have some thousands.
constexpr size_t kMaxFiles = size_t{1} << 18;

std::string joined(std::string_view directory, std::string_view name) {
  std::string path(directory);
  if (!path.empty() && path.back() != '/') path += '/';
  path += name;
  return path;
}

}  // namespace

std::optional<LineTable> LineTable::of(const Unit& unit, std::string* damage) {
  if (!unit.root().line_table) return std::nullopt;
  LineTable table(unit.skeleton() != nullptr ? *unit.skeleton() : unit);
  table.section_ = table.unit_->file().section(Section::kLine);
  Cursor cursor(table.section_, *unit.root().line_table, unit.format().order);
  std::string problem = table.read_header(cursor);
  const bool usable = problem.empty();
  if (usable && table.cut_) problem = "the line table is cut off";
  if (damage != nullptr) *damage = std::move(problem);
  if (!usable) return std::nullopt;
  return table;
}

// Returns what is wrong, empty if the table can be used.
std::string LineTable::read_header(Cursor& cursor) {
  format_ = unit_->format();
  format_.offset_size = 4;
  uint64_t length = cursor.u32();
  if (length == 0xffffffff) {
    format_.offset_size = 8;
    length = cursor.u64();
  }
  if (!cursor.ok()) return "the line table's header is cut off";
  cut_ = length > cursor.remaining();
  end_ = cursor.position() + std::min(length, cursor.remaining());
  const uint16_t version = cursor.u16();
  if (version < 2 || version > 5) return "a line table of version " + std::to_string(version);
  format_.version = static_cast<uint8_t>(version);
  if (version >= 5) {
    format_.address_size = cursor.u8();
    cursor.skip(1);  // size of segment selectors
  }
  const uint64_t header_length = cursor.number_of(format_.offset_size);
  if (!cursor.ok() || cursor.position() > end_ || header_length > end_ - cursor.position()) {
    return "the line table's header is cut off";
  }
  program_ = cursor.position() + header_length;
  min_instruction_ = cursor.u8();
  max_operations_ = version >= 4 ? std::max<uint8_t>(cursor.u8(), 1) : 1;
  default_is_stmt_ = cursor.u8() != 0;
  line_base_ = static_cast<int8_t>(cursor.u8());
  line_range_ = cursor.u8();
  opcode_base_ = cursor.u8();
  opcode_lengths_ = cursor.block(opcode_base_ == 0 ? 0 : opcode_base_ - 1U);
  if (!cursor.ok() || line_range_ == 0 || opcode_base_ == 0) {
    return "the line table's header makes no sense";
  }
  Cursor lists(section_.first(program_), cursor.position(), format_.order);
  const bool whole = version >= 5
                         ? read_new_list(lists, directories_) && read_new_list(lists, files_)
                         : read_old_lists(lists);
  return whole ? "" : "the line table's lists of files are damaged";
}

bool LineTable::read_old_lists(Cursor& cursor) {
  // Directory 0 is the compilation's, file 0 does not exist.
  directories_.push_back({unit_->root().compilation_dir, 0});
  files_.push_back({});
  while (directories_.size() < kMaxFiles) {
    const std::string_view name = cursor.c_string();
    if (name.empty()) break;
    directories_.push_back({name, 0});
  }
  while (files_.size() < kMaxFiles) {
    const std::string_view name = cursor.c_string();
    if (name.empty()) break;
    files_.push_back({name, cursor.uleb()});
    cursor.skip_leb();  // time
    cursor.skip_leb();  // size
  }
  return cursor.ok();
}

bool LineTable::read_new_list(Cursor& cursor, std::vector<File>& list) {
  std::vector<std::pair<uint64_t, uint16_t>> layout(cursor.u8());
  for (auto& [content, form] : layout) {
    content = cursor.uleb();
    form = static_cast<uint16_t>(std::min<uint64_t>(cursor.uleb(), 0xffff));
  }
  const uint64_t count = cursor.uleb();
  // Each entry takes at least a byte, but for damaged layouts.
  if (layout.empty() || count > cursor.remaining() || count > kMaxFiles) return count == 0;
  for (uint64_t i = 0; i < count && cursor.ok(); ++i) {
    File file;
    for (const auto& [content, form] : layout) {
      const Value value = read_value(cursor, form, format_);
      if (content == kContentPath) file.name = unit_->string(value);
      if (content == kContentDirectory) file.directory = value.number;
    }
    list.push_back(file);
  }
  return cursor.ok();
}

std::string_view LineTable::directory(uint64_t index) const {
  return index < directories_.size() ? directories_[index].name : std::string_view();
}

SourcePath LineTable::file(uint64_t index) const {
  SourcePath result;
  if (index >= files_.size() || files_[index].name.empty()) return result;
  const File& file = files_[index];
  result.path = file.name;
  if (result.path.starts_with('/')) return result;
  // Version 5 repeats the compilation's directory as directory 0.
  if (file.directory != 0) {
    const std::string_view listed = directory(file.directory);
    if (!listed.empty()) result.path = joined(listed, result.path);
    if (result.path.starts_with('/')) return result;
  }
  std::string_view base = unit_->root().compilation_dir;
  if (base.empty()) base = directory(0);
  if (base.empty()) return result;
  const size_t name = result.path.size();
  result.path = joined(base, result.path);
  result.directory = result.path.size() - name;
  return result;
}

// The state machine that builds rows (DWARF 5, 6.2.2), and the look-up beside it.
class LineTable::Machine {
 public:
  Machine(const LineTable& table, std::span<const uint64_t> wanted)
      : table_(table),
        cursor_(table.section_.first(table.end_), table.program_, table.format_.order),
        wanted_(wanted),
        rows_(wanted.size()) {
    reset();
  }

  std::vector<LineRow> run() {
    while (!cursor_.at_end()) {
      const uint8_t opcode = cursor_.u8();
      if (opcode >= table_.opcode_base_) {
        special(opcode);
      } else if (opcode == 0) {
        extended();
      } else {
        standard(opcode);
      }
    }
    return std::move(rows_);
  }

 private:
  struct Registers {
    uint64_t address = 0;
    uint64_t operation = 0;
    LineRow row;
    bool is_stmt = false;
    bool discriminated = false;       // the row has a discriminator
    bool line_discriminated = false;  // some row of the current line had one
  };

  void reset() {
    state_ = Registers{};
    state_.row = {1, 1, 0};
    state_.is_stmt = table_.default_is_stmt_;
    in_sequence_ = false;
    has_last_ = false;
  }

  void advance(uint64_t operations) {
    if (table_.max_operations_ == 1) {
      state_.address += table_.min_instruction_ * operations;
      return;
    }
    const uint64_t total = state_.operation + operations;
    state_.address += table_.min_instruction_ * (total / table_.max_operations_);
    state_.operation = total % table_.max_operations_;
  }

  // Gives the rows since the last one to the addresses before the current one.
  void settle() {
    if (has_last_ && state_.address >= last_address_) {
      for (; next_ < wanted_.size() && wanted_[next_] < state_.address; ++next_) {
        if (rows_[next_].line == 0) rows_[next_] = last_;
      }
      return;
    }
    // The first row of a sequence; or addresses that run backwards, which no producer writes.
    next_ = static_cast<size_t>(std::lower_bound(wanted_.begin(), wanted_.end(), state_.address) -
                                wanted_.begin());
  }

  void emit() {
    if (!in_sequence_) {
      in_sequence_ = true;
      dead_ = table_.unit_->is_dead(state_.address);
    }
    const bool repeats = has_last_ && state_.row.file == emitted_.file &&
                         state_.row.line == emitted_.line && state_.line_discriminated;
    state_.discriminated = false;
    if (dead_ || state_.row.line == 0) return;
    const bool same = has_last_ && state_.address == last_address_;
    const bool yields = same && last_is_stmt_ && !state_.is_stmt;
    // A row that yields to another file's leaves no trace, so that the next one does not repeat it.
    if (!yields || state_.row.file == emitted_.file) emitted_ = state_.row;
    // gdb takes rows that only tell apart the blocks of one line for one row.
    if (repeats || yields) return;
    settle();
    has_last_ = true;
    last_ = state_.row;
    last_address_ = state_.address;
    last_is_stmt_ = state_.is_stmt;
  }

  void special(uint8_t opcode) {
    const unsigned adjusted = opcode - unsigned{table_.opcode_base_};
    advance(adjusted / table_.line_range_);
    add_line(table_.line_base_ + static_cast<int>(adjusted % table_.line_range_));
    emit();
  }

  void add_line(int64_t delta) {
    if (delta != 0) state_.line_discriminated = state_.discriminated;
    state_.row.line = static_cast<uint32_t>(state_.row.line + static_cast<uint64_t>(delta));
  }

  void standard(uint8_t opcode) {
    switch (opcode) {
      case 1:  // DW_LNS_copy
        emit();
        break;
      case 2:  // DW_LNS_advance_pc
        advance(cursor_.uleb());
        break;
      case 3:  // DW_LNS_advance_line
        add_line(cursor_.sleb());
        break;
      case 4:  // DW_LNS_set_file
        state_.row.file = cursor_.uleb();
        break;
      case 5:  // DW_LNS_set_column
        state_.row.column = static_cast<uint32_t>(cursor_.uleb());
        break;
      case 6:  // DW_LNS_negate_stmt
        state_.is_stmt = !state_.is_stmt;
        break;
      case 7:   // DW_LNS_set_basic_block
      case 10:  // DW_LNS_set_prologue_end
      case 11:  // DW_LNS_set_epilogue_begin
        break;
      case 8:  // DW_LNS_const_add_pc
        advance((255U - table_.opcode_base_) / table_.line_range_);
        break;
      case 9:  // DW_LNS_fixed_advance_pc
        state_.address += cursor_.u16();
        state_.operation = 0;
        break;
      default:  // DW_LNS_set_isa, and what later versions may add
        for (auto n = std::to_integer<unsigned>(table_.opcode_lengths_[opcode - 1U]); n != 0; --n) {
          cursor_.skip_leb();
        }
        break;
    }
  }

  void extended() {
    const uint64_t length = cursor_.uleb();
    const uint64_t start = cursor_.position();
    if (length == 0) return;
    if (length > cursor_.remaining()) {
      cursor_.fail();
      return;
    }
    const uint8_t opcode = cursor_.u8();
    if (opcode == 1) {  // DW_LNE_end_sequence
      if (has_last_ && !dead_) settle();
      reset();
    } else if (opcode == 2) {  // DW_LNE_set_address
      state_.address = cursor_.number_of(static_cast<unsigned>(length - 1));
      state_.operation = 0;
    } else if (opcode == 4) {  // DW_LNE_set_discriminator
      state_.discriminated = cursor_.uleb() != 0;
      state_.line_discriminated |= state_.discriminated;
    }
    // DW_LNE_define_file is not written by any producer that is left.
    if (cursor_.ok()) cursor_.skip(start + length - cursor_.position());
  }

  const LineTable& table_;
  Cursor cursor_;
  std::span<const uint64_t> wanted_;
  std::vector<LineRow> rows_;
  Registers state_;
  bool in_sequence_ = false;
  bool dead_ = false;
  bool has_last_ = false;
  LineRow emitted_;  // the row before, also if it did not count
  LineRow last_;     // the row that counts
  uint64_t last_address_ = 0;
  bool last_is_stmt_ = false;
  size_t next_ = 0;
};

std::vector<LineRow> LineTable::rows(std::span<const uint64_t> addresses) const {
  return Machine(*this, addresses).run();
}

}  // namespace residue::dwarf
