#include "truth_file.h"

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <stdexcept>

namespace witness {

Truth read_truth(const std::string& path) {
  std::ifstream file(path);
  if (!file) throw std::runtime_error("cannot open " + path);
  Truth truth;
  std::uint64_t announced = UINT64_MAX;
  for (std::string line; std::getline(file, line);) {
    unsigned long long first = 0;
    unsigned long long second = 0;
    unsigned long long third = 0;
    char flag[16] = {};
    if (std::sscanf(line.c_str(), "# table=%llx-%llx", &first, &second) == 2) {
      truth.table = {first, second};
    } else if (std::sscanf(line.c_str(), "# live=%llu", &first) == 1) {
      announced = first;
    } else if (std::sscanf(line.c_str(), "%llx %llu %llu %15s", &first, &second, &third, flag) ==
               4) {
      truth.blocks.push_back({first, second, third, std::string(flag) == "planted"});
    } else if (line.empty() || line[0] != '#') {
      throw std::runtime_error(path + ": not a line of a truth file: " + line);
    }
  }
  if (truth.blocks.size() != announced) throw std::runtime_error(path + " is cut short");
  std::sort(truth.blocks.begin(), truth.blocks.end(),
            [](const Block& a, const Block& b) { return a.address < b.address; });
  return truth;
}

}  // namespace witness
