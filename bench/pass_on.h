// What many_modules and the libraries made of pass_on.cpp call each other by.
#pragma once

#include <cstddef>
#include <cstdint>

struct Chain;
using PassOn = std::uint64_t(const Chain& rest);

// The calls still to be made; `length` is the number of libraries in the whole chain.
struct Chain {
  PassOn* const* next;
  std::size_t length;
};
