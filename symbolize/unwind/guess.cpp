#include "symbolize/unwind/guess.h"

#include <array>

namespace residue {
namespace {

// How far a function's code may lie behind its entry for a call to count as the one that entered
// it.
constexpr uint64_t kFunctionReach = 0x10000;
// How many words are looked at for such a call, and for any call: Breakpad's scan looks at 40, and
// at 160 for the innermost frame.
constexpr unsigned kSureWords = 1024;
constexpr unsigned kAnyWords = 160;
// A frame pointer further up than this belongs to something else.
constexpr uint64_t kMaxFrame = uint64_t{16} << 20;

struct Candidate {
  uint64_t pc = 0;
  uint64_t sp = 0;  // the caller's
  std::optional<uint64_t> fp;
};

class Guesser {
 public:
  Guesser(const FrameState& frame, const UnwindArchitecture& architecture, const CodeMap& code,
          ProcessMemory& memory)
      : frame_(frame), architecture_(architecture), code_(code), memory_(memory) {}

  Step step(FrameState* caller) {
    if (code_.starts_thread(frame_.pc)) return outermost("a thread or the program starts here");
    const auto chained = by_frame_pointer();
    // Code made at run time keeps frame pointers or nothing at all, and is too dense to tell which
    // of its calls led here.
    if (chained && is_generated(frame_.pc)) {
      return found(*chained, FrameTrust::kFramePointer, caller);
    }
    if (const auto sure = by_matching_call(chained)) {
      const bool is_chained = chained && chained->sp == sure->sp;
      return found(*sure, is_chained ? FrameTrust::kFramePointer : FrameTrust::kScan, caller);
    }
    if (chained) return found(*chained, FrameTrust::kFramePointer, caller);
    if (const auto loose = by_loose_record()) {
      return found(*loose, FrameTrust::kFramePointer, caller);
    }
    if (chain_has_ended()) return outermost("the chain of frame pointers ends");
    if (const auto link = by_link_register()) return found(*link, FrameTrust::kScan, caller);
    if (const auto any = by_any_call()) return found(*any, FrameTrust::kScan, caller);
    return failed("no return address is found for the code at", frame_.pc);
  }

  // Whether `address`, read where a return address is expected, can be one.
  std::optional<uint64_t> accept(std::optional<uint64_t> address) const {
    if (!address) return std::nullopt;
    const uint64_t pc = code_.strip(*address);
    if (!code_.is_code(pc) || code_.follows_call(pc) == Answer::kNo) return std::nullopt;
    return pc;
  }

 private:
  uint64_t width() const { return architecture_.register_width; }

  bool is_generated(uint64_t pc) const {
    return code_.is_code(pc) && memory_.image().module_of(Address(pc)) == nullptr;
  }

  std::optional<uint64_t> word(uint64_t address) {
    return memory_.word(address, architecture_.register_width);
  }

  std::optional<uint64_t> frame_pointer() const {
    return architecture_.fp == kNoRegister ? std::nullopt : frame_.registers.get(architecture_.fp);
  }

  bool plausible(uint64_t fp) const {
    return fp >= frame_.sp && fp - frame_.sp < kMaxFrame && fp % width() == 0;
  }

  bool chain_has_ended() {
    if (architecture_.record == FrameRecord::kBackChain) return word(frame_.sp) == uint64_t{0};
    const auto fp = frame_pointer();
    return fp && *fp == 0 && !frame_.pc_is_exact;
  }

  std::optional<Candidate> record_at(uint64_t fp_slot, uint64_t pc_slot, uint64_t sp) {
    auto pc = accept(word(pc_slot));
    // HotSpot's interpreter pushes return addresses itself and jumps.
    if (const auto made = word(pc_slot); !pc && made && is_generated(*made)) pc = made;
    const auto fp = word(fp_slot);
    // The chain ends in 0 and otherwise goes up.
    if (!pc || !fp || (*fp != 0 && *fp < sp - width())) return std::nullopt;
    return Candidate{*pc, sp, *fp};
  }

  std::optional<Candidate> by_frame_pointer() {
    if (architecture_.record == FrameRecord::kBackChain) {
      const auto sp = word(frame_.sp);
      if (!sp || *sp <= frame_.sp || *sp - frame_.sp > kMaxFrame) return std::nullopt;
      const auto pc = accept(word(*sp + 16));
      if (!pc) return std::nullopt;
      return Candidate{*pc, *sp, std::nullopt};
    }
    const auto fp = frame_pointer();
    if (!fp) return std::nullopt;
    switch (architecture_.record) {
      case FrameRecord::kAtPointer:
        if (!plausible(*fp)) return std::nullopt;
        return record_at(*fp, *fp + width(), *fp + 2 * width());
      case FrameRecord::kBelow:
        if (*fp < 2 * width() || !plausible(*fp - 2 * width())) return std::nullopt;
        return record_at(*fp - 2 * width(), *fp - width(), *fp);
      case FrameRecord::kArm:
        if (!plausible(*fp)) return std::nullopt;
        if (auto at = record_at(*fp, *fp + 4, *fp + 8)) return at;
        return record_at(*fp - 4, *fp, *fp + 4);
      default:
        return std::nullopt;
    }
  }

  // As by_frame_pointer(), for a caller that uses the frame pointer's register for something else:
  // what is saved is then no link of a chain.
  std::optional<Candidate> by_loose_record() {
    const auto fp = frame_pointer();
    if (architecture_.record != FrameRecord::kAtPointer || !fp || !plausible(*fp)) {
      return std::nullopt;
    }
    const auto pc = accept(word(*fp + width()));
    if (!pc || code_.follows_call(*pc) != Answer::kYes) return std::nullopt;
    return Candidate{*pc, *fp + 2 * width(), word(*fp)};
  }

  // How far behind the target of the direct call that returns to `pc` this frame's pc is.
  std::optional<uint64_t> distance_from_target(uint64_t pc) const {
    const auto target = code_.call_target(pc);
    if (!target || *target > frame_.pc) return std::nullopt;
    return frame_.pc - *target;
  }
  bool is_matching_call(uint64_t pc) const {
    const auto distance = distance_from_target(pc);
    return distance && *distance < kFunctionReach;
  }

  // The return address of a call to this very function, below where the frame pointer's lies.
  std::optional<Candidate> by_matching_call(const std::optional<Candidate>& chained) {
    if (architecture_.link != kNoRegister && frame_.pc_is_exact) {
      if (const auto pc = accept(frame_.registers.get(architecture_.link));
          pc && is_matching_call(*pc)) {
        return Candidate{*pc, frame_.sp, frame_pointer()};
      }
    }
    if (architecture_.link != kNoRegister) return std::nullopt;
    // A leaf that has pushed nothing, whoever called it.
    if (frame_.pc_is_exact) {
      if (const auto pc = accept(word(frame_.sp)); pc && code_.follows_call(*pc) == Answer::kYes) {
        return candidate_at(*pc, frame_.sp + width(), chained);
      }
    }
    // Of all such calls the one with the nearest target, since other functions' entries lie before
    // this one's, and of those the innermost.
    std::optional<Candidate> best;
    uint64_t nearest = kFunctionReach;
    const uint64_t limit = chained ? (chained->sp - frame_.sp) / width() : kSureWords;
    for (uint64_t n = 0; n < std::min<uint64_t>(limit, kSureWords); ++n) {
      const auto value = word(frame_.sp + n * width());
      if (!value) break;
      if (!code_.is_code(*value)) continue;
      const auto distance = distance_from_target(*value);
      if (!distance || *distance >= nearest) continue;
      nearest = *distance;
      best = candidate_at(*value, frame_.sp + (n + 1) * width(), chained);
    }
    return best;
  }

  // Nothing new if the frame pointer's record is the same place.
  Candidate candidate_at(uint64_t pc, uint64_t sp, const std::optional<Candidate>& chained) const {
    if (chained && chained->sp == sp) return *chained;
    return {pc, sp, fp_above(sp)};
  }

  // A leaf keeps its caller's frame pointer.
  std::optional<uint64_t> fp_above(uint64_t sp) const {
    const auto fp = frame_pointer();
    return fp && (*fp >= sp || *fp == 0) ? fp : std::nullopt;
  }

  std::optional<Candidate> by_link_register() const {
    if (architecture_.link == kNoRegister || !frame_.pc_is_exact) return std::nullopt;
    const auto pc = accept(frame_.registers.get(architecture_.link));
    // After a call of its own, a function's link register points into itself.
    if (!pc || (*pc <= frame_.pc && frame_.pc - *pc < 0x1000)) return std::nullopt;
    return Candidate{*pc, frame_.sp, frame_pointer()};
  }

  std::optional<Candidate> by_any_call() {
    for (unsigned n = 0; n < kAnyWords; ++n) {
      const auto value = word(frame_.sp + n * width());
      if (!value) break;
      const uint64_t pc = code_.strip(*value);
      if (!code_.is_code(pc)) continue;
      const Answer after_call = code_.follows_call(pc);
      // Where the code is not in the dump, what looks like a function's entry is left out.
      if (after_call == Answer::kNo || (after_call == Answer::kUnknown && pc % 16 == 0)) continue;
      const uint64_t sp = frame_.sp + (n + 1) * width();
      return Candidate{pc, sp, fp_above(sp)};
    }
    return std::nullopt;
  }

  Step found(const Candidate& candidate, FrameTrust trust, FrameState* caller) const {
    caller->registers = RegisterSet();
    caller->registers.set(architecture_.sp, candidate.sp);
    if (candidate.fp) caller->registers.set(architecture_.fp, *candidate.fp);
    if (architecture_.pc != kNoRegister) caller->registers.set(architecture_.pc, candidate.pc);
    caller->pc = candidate.pc;
    caller->sp = candidate.sp;
    caller->pc_is_exact = false;
    Step step;
    step.status = StepStatus::kCaller;
    step.cfa = candidate.sp;
    step.trust = trust;
    return step;
  }

  const FrameState& frame_;
  const UnwindArchitecture& architecture_;
  const CodeMap& code_;
  ProcessMemory& memory_;
};

}  // namespace

Step step_from_bad_call(const FrameState& frame, const UnwindArchitecture& architecture,
                        const CodeMap& code, ProcessMemory& memory, FrameState* caller) {
  const Guesser guesser(frame, architecture, code, memory);
  const bool on_stack = architecture.link == kNoRegister;
  const auto pc = guesser.accept(on_stack ? memory.word(frame.sp, architecture.register_width)
                                          : frame.registers.get(architecture.link));
  if (!pc) return failed("the program jumped to", frame.pc);
  *caller = frame;
  caller->pc = *pc;
  if (on_stack) caller->sp = frame.sp + architecture.register_width;
  caller->registers.set(architecture.sp, caller->sp);
  if (architecture.pc != kNoRegister) caller->registers.set(architecture.pc, *pc);
  caller->pc_is_exact = false;
  Step step;
  step.status = StepStatus::kCaller;
  step.cfa = frame.sp + architecture.entry_cfa;
  step.trust = FrameTrust::kCfi;
  return step;
}

Step step_by_guess(const FrameState& frame, const UnwindArchitecture& architecture,
                   const CodeMap& code, ProcessMemory& memory, FrameState* caller) {
  return Guesser(frame, architecture, code, memory).step(caller);
}

}  // namespace residue
