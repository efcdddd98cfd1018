// A Stream runs one session's operations in order. It counts their FLOPs, in one place for every device, then lets the
// device run them. With a profile it also says which kind of work each of them is.
#pragma once

#include <array>
#include <atomic>
#include <exception>
#include <functional>
#include <initializer_list>
#include <vector>

#include "conv_ops.h"
#include "decode_ops.h"
#include "profile.h"

namespace magnets {

/// Says, once and for good, that nothing more is wanted. Thread-safe.
class StopFlag {
 public:
  void stop() { stopped_ = true; }
  /// Throws ERR_DISPOSED after `stop`.
  void check() const {
    if (stopped_) throw Error("ERR_DISPOSED", "what was being computed was stopped");
  }

 private:
  std::atomic<bool> stopped_{false};
};

class Stream {
 public:
  virtual ~Stream() = default;

  /// Operations that begin after one of the flags has stopped throw. The flags outlive the stream. Null: there is none.
  void stop_when(const StopFlag* all, const StopFlag* own) { stops_ = {all, own}; }

  /// Summed from the arguments of what ran.
  const Flops& flops() const { return flops_; }
  void clear_flops() { flops_ = {}; }

  /// Where the time of the following operations is measured; null: nowhere. It must outlive them. On a device that
  /// runs asynchronously only the time to queue them is measured.
  void set_profile(Profile* profile) { profile_ = profile; }

  void run(const Matmul& op) { count(part_, op); }
  void run(const ProjectQkv& op) { count(Part::projections, op); }
  void run(const Attention& op) { count(Part::attention, op); }
  Input run(const Normalize& op) {
    const WorkScope scope(profile_, Work::norms);
    check_stop();
    return do_run(op);
  }
  /// A product, and a norm of the rows that it wrote: a device may do both at once.
  Input run(const Matmul& op, const Normalize& norm) {
    const WorkScope scope(profile_, work_of(part_));
    check_stop();
    const Input rows = do_run(op, norm);
    flops_[part_] += flops_of(op);
    return rows;
  }
  void run(const ModulatedNorm& op) { timed(Work::norms, op); }
  void run(const Gather& op) { timed(Work::rows, op); }
  void run(const Lookup& op) { timed(Work::rows, op); }
  void run(const ArgMax& op) { begin(op); }
  void run(const Softmax& op) { begin(op); }
  void run(const GroupStatistics& op) { timed(Work::norms, op); }
  void run(const Rescale& op) { begin(op); }
  void run(const Convolution& op) { count(part_, op); }
  void run(const MeanPool& op) { begin(op); }
  void run(const SelectRows& op) { timed(Work::rows, op); }
  void run(const Embed& op) { timed(Work::rows, op); }
  void run(const Sample& op) { timed(Work::sampling, op); }
  void run(const Reveal& op) { timed(Work::sampling, op); }
  /// The beginning and the end of a step: the rows that were just selected, the tokens that were just drawn. A device
  /// may do both at once.
  void run(const SelectRows& op, const Embed& then) { timed(Work::rows, op, then); }
  void run(const Sample& op, const Reveal& then) { timed(Work::sampling, op, then); }
  void run(const RevealGiven& op) { timed(Work::sampling, op); }

  /// Waits until all operations of this stream are done. `run` may return while its operation is under way: what that
  /// reads and writes must outlive it, so destroy a stream before its buffers.
  virtual void synchronize() = 0;

  /// Runs `body`, which runs operations on this stream alone and depends on nothing but `shape`: a device may record
  /// them the first time and then repeat them without calling `body`.
  virtual void replay(const StepShape& shape, const std::function<void(const StepShape&)>& body) { body(shape); }

  /// Dense rows of host memory (activations as f32) to the first rows of a buffer, and back; done on return.
  virtual void upload(const void* source, int rows, int columns, Buffer& target) = 0;
  virtual void download(const Buffer& source, int rows, int columns, void* target) = 0;

  /// Writes a few numbers to the first row of i32 buffers, in the order of the stream: earlier operations see the old
  /// ones. It copies the values before it returns and does not wait.
  struct Put {
    const std::vector<int32_t>& values;
    Buffer& target;
  };
  virtual void put(std::initializer_list<Put> puts) = 0;

 protected:
  virtual void do_run(const Matmul& op) = 0;
  virtual void do_run(const ProjectQkv& op) = 0;
  virtual void do_run(const Attention& op) = 0;
  virtual Input do_run(const Normalize& op) = 0;
  virtual Input do_run(const Matmul& op, const Normalize& norm) {
    do_run(op);
    const WorkScope scope(profile_, Work::norms);
    return do_run(norm);
  }
  virtual void do_run(const ModulatedNorm& op) = 0;
  virtual void do_run(const Gather& op) = 0;
  virtual void do_run(const Lookup& op) = 0;
  virtual void do_run(const ArgMax& op) = 0;
  virtual void do_run(const Softmax& op) = 0;
  virtual void do_run(const GroupStatistics& op) = 0;
  virtual void do_run(const Rescale& op) = 0;
  virtual void do_run(const Convolution& op) = 0;
  virtual void do_run(const MeanPool& op) = 0;
  virtual void do_run(const SelectRows& op) = 0;
  virtual void do_run(const Embed& op) = 0;
  virtual void do_run(const Sample& op) = 0;
  virtual void do_run(const Reveal& op) = 0;
  virtual void do_run(const SelectRows& op, const Embed& then) { do_run(op), do_run(then); }
  virtual void do_run(const Sample& op, const Reveal& then) { do_run(op), do_run(then); }
  virtual void do_run(const RevealGiven& op) = 0;

  Flops flops_;
  Profile* profile_ = nullptr;

 private:
  friend class PartScope;

  static constexpr Work work_of(Part part) {
    constexpr Work works[] = {Work::projections, Work::attention, Work::mlp, Work::lm_head};
    return works[static_cast<size_t>(part)];
  }

  void check_stop() const {
    for (const StopFlag* stop : stops_) {
      if (stop != nullptr) stop->check();
    }
  }
  template <class... Ops>
  void begin(const Ops&... ops) {
    check_stop();
    do_run(ops...);
  }
  template <class... Ops>
  void timed(Work work, const Ops&... ops) {
    const WorkScope scope(profile_, work);
    begin(ops...);
  }
  template <class Op>
  void count(Part part, const Op& op) {
    timed(work_of(part), op);
    flops_[part] += flops_of(op);
  }

  Part part_ = Part::projections;
  std::array<const StopFlag*, 2> stops_{};
};

/// While it lives, matrix products of the stream count for `part`; outside of any they count for the projections.
class PartScope {
 public:
  PartScope(Stream& stream, Part part) : stream_(stream), before_(stream.part_) { stream.part_ = part; }
  ~PartScope() { stream_.part_ = before_; }
  PartScope(const PartScope&) = delete;

 private:
  Stream& stream_;
  Part before_;
};

/// Waits for a stream at the end of a scope. Declared after the buffers of the scope's operations, it lets these
/// outlive the operations, also where an exception ends the scope.
class FinishScope {
 public:
  explicit FinishScope(Stream& stream) : stream_(stream) {}
  ~FinishScope() {
    try {
      stream_.synchronize();
    } catch (const std::exception&) {
      // Whatever runs on the stream next fails too.
    }
  }
  FinishScope(const FinishScope&) = delete;

 private:
  Stream& stream_;
};

}  // namespace magnets
