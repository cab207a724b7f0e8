// Column: an append-only array whose final size is known only as an upper bound.
//
// Reserves address space for the bound and lets the kernel supply pages as they are written, so
// that growing neither copies nor doubles. Elements are trivially copyable and begin as zero.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <new>
#include <span>
#include <type_traits>
#include <utility>

#include "analyzer/huge_pages.h"

namespace residue {

template <typename T>
class Column {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  Column() = default;
  // Throws std::bad_alloc if the address space cannot be had.
  explicit Column(size_t capacity) : bytes_(capacity * sizeof(T)) {
    if (bytes_ == 0) return;
    void* memory = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    data_ = static_cast<T*>(memory);
    advise_huge_pages(memory, bytes_);
  }
  Column(Column&& other) noexcept { *this = std::move(other); }
  Column& operator=(Column&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  Column(const Column&) = delete;
  Column& operator=(const Column&) = delete;
  ~Column() {
    if (data_ != nullptr) munmap(data_, bytes_);
  }

  // REQUIRES: size() < capacity.
  void push_back(T value) { data_[size_++] = value; }
  size_t size() const { return size_; }
  const T& operator[](size_t i) const { return data_[i]; }
  std::span<const T> span(size_t begin, size_t end) const { return {data_ + begin, end - begin}; }

 private:
  T* data_ = nullptr;
  size_t size_ = 0;
  size_t bytes_ = 0;
};

}  // namespace residue
