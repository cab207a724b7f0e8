// The main program of `big`: calls every unit once, then aborts in main to leave a core.
#include "big_program.h"

#include <cstdio>
#include <cstdlib>
#include <vector>

namespace big {
namespace {

std::vector<Unit>& units() {
  static std::vector<Unit> list;
  return list;
}

}  // namespace

void register_unit(Unit unit) { units().push_back(unit); }

}  // namespace big

int main() {
  std::uint64_t sum = 0;
  for (const big::Unit unit : big::units()) sum += unit(7);
  std::printf("units=%zu sum=%llu\n", big::units().size(), static_cast<unsigned long long>(sum));
  std::fflush(stdout);
  std::abort();
}
