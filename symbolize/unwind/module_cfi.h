// ModuleCfi: all call frame information of one module, best source first.
//
// 1. .eh_frame through PT_GNU_EH_FRAME, in the process's memory: the dump's own pages, or those of
//    the matching file that the Image put in their place. The only source for the vDSO.
// 2. .eh_frame and .debug_frame of the module's file, .debug_frame of its debug file and of its
// mini
//    debug information: static programs, files without a header, functions that 1 does not know.
//    Looked for when 1 has no answer.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "formats/image.h"
#include "symbolize/unwind/cfi_row.h"
#include "symbolize/unwind/cfi_table.h"

namespace residue {

class DebugFiles;
class SymbolFile;

class ModuleCfi {
 public:
  // REQUIRES: all outlive this; `memory` is over `image`, of which `module` is the number `id`.
  ModuleCfi(const Image& image, ModuleId id, const CfiBytes& memory, const DebugFiles& files);

  // The row for the instruction at `pc`. A source whose entry for it is damaged is passed over.
  std::optional<CfiRow> row(uint64_t pc) const;
  // What was wrong with the sources that were looked at.
  std::vector<std::string> problems() const;

 private:
  void open_memory();
  void open_files() const;
  void add_section(const SymbolFile& file, const char* name, bool is_debug_frame) const;
  std::optional<CfiRow> row_in(const CfiTable& table, uint64_t pc) const;
  uint64_t global_offset_table() const;

  const Image& image_;
  const Module& module_;
  const ModuleId id_;
  const CfiBytes& memory_;
  const DebugFiles& files_;
  PointerBases bases_;
  std::optional<CfiTable> in_memory_;

  struct FileTable {
    CfiTable table;
    bool is_eh_frame = false;
  };
  struct FileTables {
    std::once_flag once;
    std::vector<std::unique_ptr<CfiBytes>> bytes;
    std::vector<FileTable> tables;
    std::atomic<bool> open = false;
  };
  std::unique_ptr<FileTables> in_files_;
  struct Damage {
    std::mutex mutex;
    std::vector<std::string> rows;
  };
  std::unique_ptr<Damage> damage_;
};

}  // namespace residue
