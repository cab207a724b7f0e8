// Numbers for people: "1,234" and "1.2 MB". Machine formats never see these.
#pragma once

#include <cstdint>
#include <string>

namespace residue {

std::string count_text(uint64_t value);  // thousands separated by commas
std::string bytes_text(uint64_t bytes);  // decimal units, as disks and allocators count

}  // namespace residue
