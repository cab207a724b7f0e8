#include "symbolize/unwind/frame_plans.h"

#include "formats/base/text.h"

namespace residue {
namespace {

// A program's stacks meet in hundreds of places.
constexpr size_t kMaxPlans = size_t{1} << 16;

}  // namespace

FramePlans::FramePlans(const Image& image, const DebugFiles& files)
    : image_(image),
      files_(files),
      code_(image, &files),
      memory_(image),
      modules_(image.modules.size()) {}

const ModuleCfi& FramePlans::cfi_of(ModuleId module) const {
  LazyModule& lazy = modules_[module.value()];
  std::call_once(lazy.once,
                 [&] { lazy.cfi = std::make_unique<ModuleCfi>(image_, module, memory_, files_); });
  return *lazy.cfi;
}

// The instruction that counts is the call, which ends before the return address: the one at it may
// belong to the next function (a call of a function that does not return), or to another row.
FramePlan FramePlans::make(uint64_t pc, bool pc_is_exact) const {
  FramePlan plan;
  plan.pc = pc;
  plan.pc_is_exact = pc_is_exact;
  plan.is_code = code_.is_code(pc);
  const uint64_t lookup = pc_is_exact ? pc : pc - 1;
  const Region* region = image_.find_region(Address(lookup));
  if (region != nullptr && region->module != kNone<ModuleId>) {
    plan.row = cfi_of(region->module).row(lookup);
    const auto& index = image_.modules[region->module.value()].exception_index;
    if (!plan.row && index) plan.arm = arm_unwind_code(image_, *index, lookup);
  }
  // A row that is no signal frame's belongs to the code before a trampoline; one without a CFA says
  // nothing (RISC-V's vDSO).
  if (!plan.row || !plan.row->is_signal_frame || plan.row->cfa.kind == CfaRule::Kind::kNone) {
    plan.trampoline = signal_trampoline(code_, image_.architecture, pc);
  }
  plan.is_signal_frame = plan.trampoline != nullptr || (plan.row && plan.row->is_signal_frame);
  return plan;
}

const FramePlan* FramePlans::shared(uint64_t pc, bool pc_is_exact) const {
  const Key key{pc, pc_is_exact};
  {
    const std::shared_lock lock(mutex_);
    if (const auto known = index_.find(key); known != index_.end()) return known->second;
    if (plans_.size() >= kMaxPlans) return nullptr;
  }
  // Two threads may work out the same plan; the first one's stays.
  FramePlan plan = make(pc, pc_is_exact);
  const std::unique_lock lock(mutex_);
  const auto [slot, is_new] = index_.try_emplace(key, nullptr);
  if (is_new) {
    plans_.push_back(std::move(plan));
    slot->second = &plans_.back();
  }
  return slot->second;
}

const FramePlan& FramePlans::Recent::at(uint64_t pc, bool pc_is_exact) {
  const FramePlan*& slot = slots_[(pc ^ pc >> 7) % slots_.size()];
  if (slot != nullptr && slot->pc == pc && slot->pc_is_exact == pc_is_exact) return *slot;
  if (const FramePlan* shared = plans_.shared(pc, pc_is_exact)) {
    slot = shared;
    return *shared;
  }
  FramePlan& own = own_[turn_++ % own_.size()];
  own = plans_.make(pc, pc_is_exact);
  return own;
}

void FramePlans::report(Diagnostics& diagnostics) const {
  for (size_t i = 0; i < modules_.size(); ++i) {
    if (!modules_[i].cfi) continue;
    for (std::string& problem : modules_[i].cfi->problems()) {
      diagnostics.add(Severity::kDamage, "unwind", image_.modules[i].path, 0, std::move(problem));
    }
  }
}

}  // namespace residue
