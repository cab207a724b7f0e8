// FramePlans: how to leave the code at each program counter, worked out once and shared by all
// threads' stacks.
//
// Stacks of a program meet in few places (200 threads with 13,507 frames: 36 program counters), so
// what costs is done per place: the module, the FDE, the row, the check for a signal trampoline.
// Plans are never changed nor freed while this lives. Thread-safe.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <unordered_map>
#include <vector>

#include "formats/base/diagnostics.h"
#include "symbolize/unwind/arm_exception.h"
#include "symbolize/unwind/cfi_bytes.h"
#include "symbolize/unwind/cfi_row.h"
#include "symbolize/unwind/code_map.h"
#include "symbolize/unwind/module_cfi.h"
#include "symbolize/unwind/signal_frame.h"

namespace residue {

struct FramePlan {
  uint64_t pc = 0;
  bool pc_is_exact = false;
  bool is_code = false;
  bool is_signal_frame = false;
  const SignalLayout* trampoline = nullptr;  // goes before `row`
  std::optional<CfiRow> row;
  std::optional<ArmUnwindCode> arm;
};

class FramePlans {
 public:
  // REQUIRES: both outlive this.
  FramePlans(const Image& image, const DebugFiles& files);

  // Null if there are too many already: a damaged dump can lead anywhere.
  const FramePlan* shared(uint64_t pc, bool pc_is_exact) const;
  FramePlan make(uint64_t pc, bool pc_is_exact) const;
  const CodeMap& code() const { return code_; }
  void report(Diagnostics& diagnostics) const;

  // The last plans that one stack's walk has used, in front of the shared ones. A plan is valid
  // until two others have been asked for.
  class Recent {
   public:
    explicit Recent(const FramePlans& plans) : plans_(plans) {}
    const FramePlan& at(uint64_t pc, bool pc_is_exact);

   private:
    const FramePlans& plans_;
    std::array<const FramePlan*, 64> slots_{};
    std::array<FramePlan, 2> own_;  // where the shared ones are too many
    unsigned turn_ = 0;
  };

 private:
  const ModuleCfi& cfi_of(ModuleId module) const;

  struct Key {
    uint64_t pc;
    bool pc_is_exact;
    friend bool operator==(Key, Key) = default;
  };
  struct KeyHash {
    size_t operator()(Key key) const {
      return std::hash<uint64_t>()(key.pc * 2 + (key.pc_is_exact ? 1 : 0));
    }
  };
  struct LazyModule {
    std::once_flag once;
    std::unique_ptr<ModuleCfi> cfi;
  };

  const Image& image_;
  const DebugFiles& files_;
  const CodeMap code_;
  const CfiBytes memory_;
  mutable std::vector<LazyModule> modules_;
  mutable std::shared_mutex mutex_;
  mutable std::deque<FramePlan> plans_;
  mutable std::unordered_map<Key, const FramePlan*, KeyHash> index_;
};

}  // namespace residue
