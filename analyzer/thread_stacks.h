// The memory that glibc took for each thread's stack, as the thread's descriptor has it.
//
// Up to glibc 2.41 an inaccessible guard page lies below every stack, so that each has a region of
// its own. From 2.42 on the guard is one of the kernel's (MADV_GUARD_INSTALL) and no mapping: the
// stacks of many threads, running and ended, and whatever was mapped beside them are one region.
// Only the descriptors tell where one stack ends and other memory begins.
#pragma once

#include <cstdint>
#include <vector>

#include "formats/image.h"

namespace residue {

struct ThreadStack {
  AddressRange range;  // guard, stack, static TLS and descriptor
  static constexpr uint32_t kEnded = ~uint32_t{0};
  uint32_t thread = kEnded;  // index into Image::threads
};

// Of the threads of the image and of those that ended (their thread pointers), in address order,
// disjoint. A thread is missing whose descriptor says nothing that can be true: the main thread,
// and those of other C libraries.
std::vector<ThreadStack> find_thread_stacks(const Image& image, const std::vector<Address>& ended);

}  // namespace residue
