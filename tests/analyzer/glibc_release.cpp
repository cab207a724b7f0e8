#include "tests/analyzer/glibc_release.h"

#include <stdexcept>

namespace residue::test {
namespace {

//                                     fast    fast          last
//                                     chunks  bins     top  rem.  bins  binmap  next   n_free
//                                     attached system  max   sizeof
constexpr MallocStateOffsets kState12 = {kAbsent, 8,    88,      96,   104,  2136,
                                         2152,    2160, kAbsent, 2168, 2176, 2184};
constexpr MallocStateOffsets kState23 = {kAbsent, 8,    88,   96,   104,  2136,
                                         2152,    2160, 2168, 2176, 2184, 2192};
constexpr MallocStateOffsets kState27 = {8,    16,   96,   104,  112,  2144,
                                         2160, 2168, 2176, 2184, 2192, 2200};
constexpr MallocStateOffsets kState43 = {kAbsent, kAbsent, 8,    16,   24,   2056,
                                         2072,    2080,    2088, 2096, 2104, 2112};

//                                   n_mmaps max  high  mem  max  sbrk  tcache  size
constexpr MallocParOffsets kPar12 = {40, 44, 48, 64, 72, 88, kAbsent, 96};
constexpr MallocParOffsets kPar15 = {40, 44, 48, 56, 64, 80, kAbsent, 88};
constexpr MallocParOffsets kPar24 = {40, 44, 48, 56, 64, 72, kAbsent, 80};
constexpr MallocParOffsets kPar26 = {40, 44, 48, 56, 64, 72, 80, 112};
constexpr MallocParOffsets kPar35 = {60, 64, 68, 80, 88, 96, 104, 136};
constexpr MallocParOffsets kPar43 = {68, 72, 76, 88, 96, 104, 112, 144};

MallocStateOffsets state_of(unsigned minor) {
  if (minor < 23) return kState12;
  if (minor < 27) return kState23;
  return minor < 43 ? kState27 : kState43;
}

MallocParOffsets par_of(unsigned minor) {
  if (minor < 15) return kPar12;
  if (minor < 24) return kPar15;
  if (minor < 26) return kPar24;
  if (minor < 35) return kPar26;
  return minor < 43 ? kPar35 : kPar43;
}

TcacheKey key_of(unsigned minor) {
  if (minor < 29) return TcacheKey::kNone;
  return minor < 34 ? TcacheKey::kStruct : TcacheKey::kRandom;
}

TcacheShape tcache_of(unsigned minor) {
  const TcacheKey key = key_of(minor);
  if (minor < 26) return {TcacheCounts::kNone, key, 0, 0, 0, 0, 0};
  if (minor < 30) return {TcacheCounts::kBytes, key, 64, 64, 576, 7, 1032};
  if (minor < 42) return {TcacheCounts::kWords, key, 64, 128, 640, 7, 1032};
  if (minor < 43) return {TcacheCounts::kSlotsLeft, key, 76, 152, 760, 7, 1032};
  return {TcacheCounts::kSlotsLeft, key, 76, 152, 760, 16, 1041};
}

}  // namespace

std::string GlibcRelease::banner() const {
  const std::string version = minor < 43 ? "2." + std::to_string(minor) : "2.42.9000";
  const std::string kind = minor < 43 ? "stable" : "development";
  return "GNU C Library (GNU libc) " + kind + " release version " + version + ".";
}

GlibcRelease glibc_release(unsigned minor) {
  if (minor < 12 || minor > 43) throw std::logic_error("no table for this glibc");
  return {minor,       state_of(minor), par_of(minor), tcache_of(minor), minor < 35 ? 32U : 48U,
          minor >= 32, minor >= 43};
}

}  // namespace residue::test
