// The operations of native/ops on the CPU. Each is implemented in the file of its name, Reveal and RevealGiven in one.
#pragma once

#include <memory>

#include "../ops/stream.h"
#include "buffer.h"
#include "kernels/kernels.h"
#include "kv_cache.h"
#include "multiply.h"
#include "packed_linear.h"
#include "table.h"
#include "thread_pool.h"

namespace magnets::cpu {

/// An Input, ready to be read.
struct InputRows {
  const float* first;
  size_t stride;
};

class CpuStream : public Stream {
 public:
  CpuStream(const Kernels& kernels, std::shared_ptr<ThreadPool> pool) : kernels_(kernels), pool_(std::move(pool)) {}

  void synchronize() override {}
  void upload(const void* source, int rows, int columns, Buffer& target) override;
  void download(const Buffer& source, int rows, int columns, void* target) override;
  void put(std::initializer_list<Put> puts) override;

 protected:
  void do_run(const Matmul& op) override;
  void do_run(const ProjectQkv& op) override;
  void do_run(const Attention& op) override;
  Input do_run(const Normalize& op) override;
  void do_run(const ModulatedNorm& op) override;
  void do_run(const Gather& op) override;
  void do_run(const Lookup& op) override;
  void do_run(const ArgMax& op) override;
  void do_run(const Softmax& op) override;
  void do_run(const GroupStatistics& op) override;
  void do_run(const Rescale& op) override;
  void do_run(const Convolution& op) override;
  void do_run(const MeanPool& op) override;
  void do_run(const SelectRows& op) override;
  void do_run(const Embed& op) override;
  void do_run(const Sample& op) override;
  void do_run(const Reveal& op) override;
  void do_run(const RevealGiven& op) override;

 private:
  /// body(first, last) over rows [0, count), in parts large enough to be worth a thread.
  template <class Body>
  void over_rows(int count, const Body& body) {
    constexpr int kRowsAtOnce = 16;
    pool_->run((count + kRowsAtOnce - 1) / kRowsAtOnce, [&](int task, int) {
      const int first = task * kRowsAtOnce;
      body(first, first + kRowsAtOnce < count ? first + kRowsAtOnce : count);
    });
  }

  // normalize.cpp
  void normalize_row(const float* x, const Norm& norm, int columns, float* y) const;
  void normalize(const float* x, size_t x_stride, const Norm& norm, int rows, int columns, float* y, size_t y_stride);
  /// The rows of an Input, in scratch where it carries a norm.
  InputRows normalized(const Input& input, int rows, int columns);

  const Kernels& kernels_;
  std::shared_ptr<ThreadPool> pool_;
  Scratch normalized_;  // of `normalized`
  Scratch projected_;   // ProjectQkv's keys and values
  MultiplyScratch products_;
  Scratch scores_;          // Attention's, of every thread
  Scratch bands_, filled_;  // Convolution's, of every thread
  Scratch moments_;         // GroupStatistics', of every part of a picture
  Scratch channel_sums_;    // GroupStatistics', of every thread
  Scratch sample_scratch_;  // Sample's, of every thread
  Scratch masked_tokens_;   // Reveal's
};

}  // namespace magnets::cpu
