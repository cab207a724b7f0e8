#include "formats/elf/signals.h"

#include <algorithm>
#include <array>
#include <span>
#include <string_view>

namespace residue::elf {
namespace {

// arch/x86/include/uapi/asm/signal.h and asm-generic/signal.h of Linux (6.18): the same numbers on
// every machine but MIPS (Alpha, SPARC and PA-RISC, which are not read).
constexpr std::array<const char*, 32> kLinuxNames = {
    "0",         "SIGHUP",  "SIGINT",    "SIGQUIT", "SIGILL",   "SIGTRAP", "SIGABRT", "SIGBUS",
    "SIGFPE",    "SIGKILL", "SIGUSR1",   "SIGSEGV", "SIGUSR2",  "SIGPIPE", "SIGALRM", "SIGTERM",
    "SIGSTKFLT", "SIGCHLD", "SIGCONT",   "SIGSTOP", "SIGTSTP",  "SIGTTIN", "SIGTTOU", "SIGURG",
    "SIGXCPU",   "SIGXFSZ", "SIGVTALRM", "SIGPROF", "SIGWINCH", "SIGIO",   "SIGPWR",  "SIGSYS"};

// arch/mips/include/uapi/asm/signal.h.
constexpr std::array<const char*, 32> kMipsNames = {
    "0",       "SIGHUP",  "SIGINT",  "SIGQUIT", "SIGILL",    "SIGTRAP", "SIGABRT", "SIGEMT",
    "SIGFPE",  "SIGKILL", "SIGBUS",  "SIGSEGV", "SIGSYS",    "SIGPIPE", "SIGALRM", "SIGTERM",
    "SIGUSR1", "SIGUSR2", "SIGCHLD", "SIGPWR",  "SIGWINCH",  "SIGURG",  "SIGIO",   "SIGSTOP",
    "SIGTSTP", "SIGCONT", "SIGTTIN", "SIGTTOU", "SIGVTALRM", "SIGPROF", "SIGXCPU", "SIGXFSZ"};

// sys/sys/signal.h of FreeBSD 15, NetBSD 10 and OpenBSD 7: one list, up to 31.
constexpr std::array<const char*, 32> kBsdNames = {
    "0",       "SIGHUP",  "SIGINT",    "SIGQUIT", "SIGILL",   "SIGTRAP", "SIGABRT", "SIGEMT",
    "SIGFPE",  "SIGKILL", "SIGBUS",    "SIGSEGV", "SIGSYS",   "SIGPIPE", "SIGALRM", "SIGTERM",
    "SIGURG",  "SIGSTOP", "SIGTSTP",   "SIGCONT", "SIGCHLD",  "SIGTTIN", "SIGTTOU", "SIGIO",
    "SIGXCPU", "SIGXFSZ", "SIGVTALRM", "SIGPROF", "SIGWINCH", "SIGINFO", "SIGUSR1", "SIGUSR2"};

struct CodeName {
  const char* signal;  // null: any
  int32_t code;
  const char* name;
};

// include/uapi/asm-generic/siginfo.h (6.18); a code <= 0 means that a process sent it.
constexpr CodeName kLinuxCodes[] = {
    {nullptr, 0, "SI_USER"},        {nullptr, 0x80, "SI_KERNEL"},
    {nullptr, -1, "SI_QUEUE"},      {nullptr, -2, "SI_TIMER"},
    {nullptr, -3, "SI_MESGQ"},      {nullptr, -4, "SI_ASYNCIO"},
    {nullptr, -5, "SI_SIGIO"},      {nullptr, -6, "SI_TKILL"},
    {"SIGILL", 1, "ILL_ILLOPC"},    {"SIGILL", 2, "ILL_ILLOPN"},
    {"SIGILL", 3, "ILL_ILLADR"},    {"SIGILL", 4, "ILL_ILLTRP"},
    {"SIGILL", 5, "ILL_PRVOPC"},    {"SIGILL", 6, "ILL_PRVREG"},
    {"SIGILL", 7, "ILL_COPROC"},    {"SIGILL", 8, "ILL_BADSTK"},
    {"SIGFPE", 1, "FPE_INTDIV"},    {"SIGFPE", 2, "FPE_INTOVF"},
    {"SIGFPE", 3, "FPE_FLTDIV"},    {"SIGFPE", 4, "FPE_FLTOVF"},
    {"SIGFPE", 5, "FPE_FLTUND"},    {"SIGFPE", 6, "FPE_FLTRES"},
    {"SIGFPE", 7, "FPE_FLTINV"},    {"SIGFPE", 8, "FPE_FLTSUB"},
    {"SIGFPE", 14, "FPE_FLTUNK"},   {"SIGFPE", 15, "FPE_CONDTRAP"},
    {"SIGSEGV", 1, "SEGV_MAPERR"},  {"SIGSEGV", 2, "SEGV_ACCERR"},
    {"SIGSEGV", 3, "SEGV_BNDERR"},  {"SIGSEGV", 4, "SEGV_PKUERR"},
    {"SIGSEGV", 8, "SEGV_MTEAERR"}, {"SIGSEGV", 9, "SEGV_MTESERR"},
    {"SIGSEGV", 10, "SEGV_CPERR"},  {"SIGBUS", 1, "BUS_ADRALN"},
    {"SIGBUS", 2, "BUS_ADRERR"},    {"SIGBUS", 3, "BUS_OBJERR"},
    {"SIGBUS", 4, "BUS_MCEERR_AR"}, {"SIGBUS", 5, "BUS_MCEERR_AO"},
    {"SIGTRAP", 1, "TRAP_BRKPT"},   {"SIGTRAP", 2, "TRAP_TRACE"},
    {"SIGTRAP", 3, "TRAP_BRANCH"},  {"SIGTRAP", 4, "TRAP_HWBKPT"},
    {"SIGTRAP", 5, "TRAP_UNK"},     {"SIGTRAP", 6, "TRAP_PERF"},
    {"SIGSYS", 1, "SYS_SECCOMP"},   {"SIGSYS", 2, "SYS_USER_DISPATCH"}};

// arch/mips/include/uapi/asm/siginfo.h: what differs.
constexpr CodeName kMipsCodes[] = {
    {nullptr, -2, "SI_ASYNCIO"}, {nullptr, -3, "SI_TIMER"}, {nullptr, -4, "SI_MESGQ"}};

// What FreeBSD, NetBSD and OpenBSD share; the integer codes of SIGFPE are not in Linux' order.
constexpr CodeName kBsdCodes[] = {
    {"SIGILL", 1, "ILL_ILLOPC"},   {"SIGILL", 2, "ILL_ILLOPN"},  {"SIGILL", 3, "ILL_ILLADR"},
    {"SIGILL", 4, "ILL_ILLTRP"},   {"SIGILL", 5, "ILL_PRVOPC"},  {"SIGILL", 6, "ILL_PRVREG"},
    {"SIGILL", 7, "ILL_COPROC"},   {"SIGILL", 8, "ILL_BADSTK"},  {"SIGFPE", 3, "FPE_FLTDIV"},
    {"SIGFPE", 4, "FPE_FLTOVF"},   {"SIGFPE", 5, "FPE_FLTUND"},  {"SIGFPE", 6, "FPE_FLTRES"},
    {"SIGFPE", 7, "FPE_FLTINV"},   {"SIGFPE", 8, "FPE_FLTSUB"},  {"SIGSEGV", 1, "SEGV_MAPERR"},
    {"SIGSEGV", 2, "SEGV_ACCERR"}, {"SIGBUS", 1, "BUS_ADRALN"},  {"SIGBUS", 2, "BUS_ADRERR"},
    {"SIGBUS", 3, "BUS_OBJERR"},   {"SIGTRAP", 1, "TRAP_BRKPT"}, {"SIGTRAP", 2, "TRAP_TRACE"}};

// sys/sys/signal.h of FreeBSD 15.
constexpr CodeName kFreeBsdCodes[] = {
    {"SIGFPE", 1, "FPE_INTOVF"},     {"SIGFPE", 2, "FPE_INTDIV"},
    {"SIGSEGV", 100, "SEGV_PKUERR"}, {"SIGBUS", 100, "BUS_OOMERR"},
    {"SIGTRAP", 3, "TRAP_DTRACE"},   {"SIGTRAP", 4, "TRAP_CAP"},
    {nullptr, 0x10001, "SI_USER"},   {nullptr, 0x10002, "SI_QUEUE"},
    {nullptr, 0x10003, "SI_TIMER"},  {nullptr, 0x10004, "SI_ASYNCIO"},
    {nullptr, 0x10005, "SI_MESGQ"},  {nullptr, 0x10006, "SI_KERNEL"},
    {nullptr, 0x10007, "SI_LWP"}};

// sys/sys/siginfo.h of NetBSD 10 and OpenBSD 7.
constexpr CodeName kOtherBsdCodes[] = {{"SIGFPE", 1, "FPE_INTDIV"}, {"SIGFPE", 2, "FPE_INTOVF"},
                                       {nullptr, 0, "SI_USER"},     {nullptr, -1, "SI_QUEUE"},
                                       {nullptr, -2, "SI_TIMER"},   {nullptr, -3, "SI_ASYNCIO"},
                                       {nullptr, -4, "SI_MESGQ"},   {nullptr, -5, "SI_LWP"}};

// NetBSD and OpenBSD: the kernel knows nothing of the code.
constexpr int32_t kNoInfo = 32767;
// FreeBSD: nothing but the number is known.
constexpr int32_t kFreeBsdNoInfo = 0;

const char* find_code(std::span<const CodeName> codes, std::string_view signal, int32_t code) {
  for (const CodeName& known : codes) {
    if (known.code == code && (known.signal == nullptr || signal == known.signal)) {
      return known.name;
    }
  }
  return nullptr;
}

const char* code_name(SignalSystem system, std::string_view signal, int32_t code) {
  switch (system) {
    case SignalSystem::kLinuxMips:
      if (const char* name = find_code(kMipsCodes, signal, code)) return name;
      return find_code(kLinuxCodes, signal, code);
    case SignalSystem::kLinux:
      return find_code(kLinuxCodes, signal, code);
    case SignalSystem::kFreeBsd:
      if (const char* name = find_code(kFreeBsdCodes, signal, code)) return name;
      return find_code(kBsdCodes, signal, code);
    case SignalSystem::kNetBsd:
    case SignalSystem::kOpenBsd:
      if (const char* name = find_code(kOtherBsdCodes, signal, code)) return name;
      return find_code(kBsdCodes, signal, code);
  }
  return nullptr;
}

bool is_one_of(std::string_view signal, std::span<const std::string_view> names) {
  return std::find(names.begin(), names.end(), signal) != names.end();
}

}  // namespace

std::string signal_name(SignalSystem system, uint32_t number) {
  const auto& names = system == SignalSystem::kLinux       ? kLinuxNames
                      : system == SignalSystem::kLinuxMips ? kMipsNames
                                                           : kBsdNames;
  if (number < names.size()) return names[number];
  if (number == 32 && system == SignalSystem::kFreeBsd) return "SIGTHR";
  if (number == 32 && system == SignalSystem::kNetBsd) return "SIGPWR";
  return "signal " + std::to_string(number);
}

std::string signal_reason(SignalSystem system, uint32_t number, int32_t code) {
  std::string text = signal_name(system, number);
  const bool other_bsd = system == SignalSystem::kNetBsd || system == SignalSystem::kOpenBsd;
  if (other_bsd && code == kNoInfo) return text;
  if (system == SignalSystem::kFreeBsd && code == kFreeBsdNoInfo) return text;
  const char* name = code_name(system, text, code);
  text += " / ";
  text += name != nullptr ? std::string(name) : "code " + std::to_string(code);
  return text;
}

// signal(7), sigaction(2) of the BSDs.
bool is_crash(SignalSystem system, uint32_t number) {
  static constexpr std::string_view kHarmless[] = {"0",        "SIGCHLD", "SIGCONT", "SIGSTOP",
                                                   "SIGTSTP",  "SIGTTIN", "SIGTTOU", "SIGURG",
                                                   "SIGWINCH", "SIGINFO"};
  return !is_one_of(signal_name(system, number), kHarmless);
}

bool has_fault_address(SignalSystem system, uint32_t number, int32_t code) {
  static constexpr std::string_view kFaults[] = {"SIGILL", "SIGTRAP", "SIGBUS", "SIGFPE",
                                                 "SIGSEGV"};
  if (!is_one_of(signal_name(system, number), kFaults) || code <= 0) return false;
  if (system == SignalSystem::kLinux || system == SignalSystem::kLinuxMips) return code != 0x80;
  return code < 0x10000 && code != kNoInfo;
}

}  // namespace residue::elf
