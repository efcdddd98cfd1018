// Where the time of a stream goes: a stopwatch that belongs to one kind of work at a time.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <utility>

namespace magnets {

/// Kinds of work. Products include what a device does to their rows at the same time: bias, activation, residual,
/// rounding to bytes, and writing keys and values to the cache.
enum class Work {
  projections,  // products: as Part says
  attention,
  mlp,       // products
  lm_head,   // products
  norms,     // those that a device applies before a product, too
  rows,      // select, embed, gather
  sampling,  // draw and reveal
  session,   // between operations
  count_,
};

/// Seconds by kind of work.
class Profile {
 public:
  double operator[](Work work) const { return seconds_[static_cast<size_t>(work)]; }
  Profile operator-(const Profile& before) const {
    Profile difference = *this;
    for (size_t work = 0; work < seconds_.size(); ++work) difference.seconds_[work] -= before.seconds_[work];
    return difference;
  }

 private:
  friend class WorkScope;
  using Clock = std::chrono::steady_clock;

  /// From now on time counts for `work`; for nothing where that is count_.
  Work belongs_to(Work work) {
    const Clock::time_point now = Clock::now();
    if (work_ != Work::count_) {
      seconds_[static_cast<size_t>(work_)] += std::chrono::duration<double>(now - since_).count();
    }
    since_ = now;
    return std::exchange(work_, work);
  }

  std::array<double, static_cast<size_t>(Work::count_)> seconds_{};
  Work work_ = Work::count_;
  Clock::time_point since_;
};

/// While it lives, time counts for `work`, unless another scope opens inside. Without a profile it does nothing.
class WorkScope {
 public:
  WorkScope(Profile* profile, Work work)
      : profile_(profile), before_(profile == nullptr ? work : profile->belongs_to(work)) {}
  ~WorkScope() {
    if (profile_ != nullptr) profile_->belongs_to(before_);
  }
  WorkScope(const WorkScope&) = delete;

 private:
  Profile* profile_;
  Work before_;
};

}  // namespace magnets
