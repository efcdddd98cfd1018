// The backends under test, and what their arithmetic promises. Test programs are linked with those of the CPU
// (subjects_cpu.cpp), of emulated devices (test/cuda/emulation/emulated_devices.cpp) or of a GPU
// (test/cuda/gpu_device.cpp).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "../../native/ops/backend.h"

namespace magnets::test {

/// Unit roundoff of f32, in which every backend accumulates.
constexpr double kUnit = 0x1p-24;

class Subject {
 public:
  virtual ~Subject() = default;
  virtual std::string name() const = 0;
  /// A backend of its own. `threads` is a wish.
  virtual std::unique_ptr<Backend> open(int threads = 2) const = 0;
  /// The formats that weights may be kept in. The first one holds the test data exactly.
  virtual std::vector<WeightFormat> formats() const = 0;
  /// `value` as an activation holds it: nearest, ties to even.
  virtual double rounded(double value) const = 0;
  /// Roundoff of an activation, relative, and where that is smaller than the spacing of its smallest numbers.
  virtual double unit() const = 0;
  virtual double tiny() const = 0;
  /// How far tanh may be off, relative to itself, beyond the roundings of its arithmetic.
  virtual double tanh_error() const { return 0; }
  /// A row's result is the same bits whatever else is computed beside it, by however many threads.
  virtual bool same_bits() const = 0;
  /// Has so many parts that only large matrices keep them all busy.
  virtual bool large() const { return false; }
  /// Slow enough that statistics have to do with fewer samples.
  virtual bool slow() const = 0;
  /// A sanitizer watches: it learns nothing from a run that touches the same memory with other numbers.
  virtual bool watched() const { return false; }

  double roundoff(double value) const { return unit() * (value < 0 ? -value : value) + tiny(); }
};

/// What a test depends on: on a GPU kernels are chosen by device, others differ by the type of activations alone.
enum class Variety { devices, types, none };
const std::vector<std::unique_ptr<Subject>>& subjects(Variety variety);

}  // namespace magnets::test
