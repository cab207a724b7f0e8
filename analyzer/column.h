// Column: an append-only array whose final size is known only as an upper bound.
//
// Reserves address space for the bound and lets the kernel supply pages as they are written, so
// that growing neither copies nor doubles. Elements are trivially copyable and begin as zero.
#pragma once

#include <cstddef>
#include <span>
#include <utility>

#include "analyzer/big_array.h"

namespace residue {

template <typename T>
class Column {
 public:
  Column() = default;
  // Throws std::bad_alloc if the address space cannot be had.
  explicit Column(size_t capacity) : data_(capacity) {}
  Column(Column&& other) noexcept
      : data_(std::move(other.data_)), size_(std::exchange(other.size_, 0)) {}
  Column& operator=(Column&& other) noexcept {
    data_ = std::move(other.data_);
    size_ = std::exchange(other.size_, 0);
    return *this;
  }

  // REQUIRES: size() < capacity.
  void push_back(T value) { data_[size_++] = value; }
  size_t size() const { return size_; }
  const T& operator[](size_t i) const { return data_[i]; }
  std::span<const T> span(size_t begin, size_t end) const {
    return {data_.data() + begin, end - begin};
  }

 private:
  BigArray<T> data_;
  size_t size_ = 0;
};

}  // namespace residue
