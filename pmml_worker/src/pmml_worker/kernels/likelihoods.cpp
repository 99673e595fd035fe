// Sums of quadratic log-densities for each class, the class with the largest sum, and the classes' probabilities.
//
// Rows pass in tiles, whose sums stay in the nearest cache; a row's terms are added up in the order of the columns.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <tuple>
#include <utility>
#include <vector>

#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include "arrays.hpp"
#include "exponential.hpp"

namespace {

constexpr int kTile = 256;
constexpr double kLeast = -700;  // Logarithms below it are of numbers near the least that a double holds.

// top + width * (x - mean)^2
struct Density {
    double top, width, mean;
};

// Adds a column's log-densities to the sums of one class. Without a limit densities are those that a double can hold.
WIDEST void add(const Density& density, double limit, const double* x, int rows, double* sums) {
    double logs[kTile];
    int tiny = 0;
    for (int i = 0; i < rows; ++i) {
        const double distance = x[i] - density.mean;
        const double log = density.top + density.width * distance * distance;
        logs[i] = log < limit ? limit : log;
        tiny |= logs[i] < kLeast;
    }
    if (tiny && limit == -std::numeric_limits<double>::infinity()) {
        for (int i = 0; i < rows; ++i) {
            if (logs[i] < kLeast) logs[i] = std::log(std::exp(logs[i]));
        }
    }
    for (int i = 0; i < rows; ++i) sums[i] += x[i] == x[i] ? logs[i] : 0.0;
}

// The class of the largest sum, the first of equals, and that sum; classes' sums lie kTile apart.
WIDEST void best(const double* sums, size_t classes, int rows, int32_t* names, double* largest) {
    double name[kTile] = {};
    std::copy(sums, sums + rows, largest);
    for (size_t position = 1; position < classes; ++position) {
        const double* mine = sums + position * kTile;
        const auto label = static_cast<double>(position);
        for (int i = 0; i < rows; ++i) {
            name[i] = mine[i] > largest[i] ? label : name[i];
            largest[i] = mine[i] > largest[i] ? mine[i] : largest[i];
        }
    }
    for (int i = 0; i < rows; ++i) names[i] = static_cast<int32_t>(name[i]);
}

// e to the power of each sum, less the largest, divided by the sum of these powers; classes lie `stride` apart.
WIDEST void share(double* sums, size_t classes, int rows, const double* largest, double* into, size_t stride) {
    double total[kTile] = {};
    for (size_t position = 0; position < classes; ++position) {
        double* mine = sums + position * kTile;
        for (int i = 0; i < rows; ++i) {
            const double below = mine[i] - largest[i];  // No number where all sums are infinite.
            mine[i] = below == below ? exponential(below) : below;
            total[i] += mine[i];
        }
    }
    for (size_t position = 0; position < classes; ++position) {
        const double* mine = sums + position * kTile;
        for (int i = 0; i < rows; ++i) into[position * stride + i] = mine[i] / total[i];
    }
}

class Likelihoods {
public:
    Likelihoods(Matrix<double> top, Matrix<double> width, Matrix<double> mean, Vector<double> start, double limit)
        : columns_(top.shape(0)), classes_(start.size()), start_(start.data(), start.data() + start.size()),
          limit_(limit) {
        for (const Matrix<double>& part : {top, width, mean}) {
            if (part.shape(0) != columns_ || part.shape(1) != classes_) {
                throw std::invalid_argument("each column has a density for each class");
            }
        }
        if (classes_ == 0 || columns_ == 0) throw std::invalid_argument("there are no columns or no classes");
        for (size_t i = 0; i < top.size(); ++i) densities_.push_back({top.data()[i], width.data()[i], mean.data()[i]});
    }

    std::tuple<Result<int32_t>, nb::object> classify(const std::vector<Vector<double>>& columns, bool tell) const {
        if (columns.size() != columns_) throw std::invalid_argument("a column per row of densities");
        const size_t rows = columns[0].size();
        for (const auto& column : columns) {
            if (column.size() != rows) throw std::invalid_argument("columns differ in their rows");
        }
        std::vector<int32_t> names(rows);
        std::vector<double> shares(tell ? classes_ * rows : 0);
        {
            nb::gil_scoped_release release;
            std::vector<double> sums(classes_ * kTile);
            double largest[kTile];
            for (size_t first = 0; first < rows; first += kTile) {
                const int here = static_cast<int>(std::min<size_t>(kTile, rows - first));
                std::fill(sums.begin(), sums.end(), 0.0);
                for (size_t column = 0; column < columns_; ++column) {
                    for (size_t position = 0; position < classes_; ++position) {
                        add(densities_[column * classes_ + position], limit_, columns[column].data() + first, here,
                            sums.data() + position * kTile);
                    }
                }
                for (size_t position = 0; position < classes_; ++position) {
                    for (int i = 0; i < here; ++i) sums[position * kTile + i] += start_[position];
                }
                best(sums.data(), classes_, here, names.data() + first, largest);
                if (tell) share(sums.data(), classes_, here, largest, shares.data() + first, rows);
            }
        }
        nb::object told = tell ? nb::cast(to_numpy(std::move(shares), classes_, rows)) : nb::none();
        return {to_numpy(std::move(names), rows), told};
    }

private:
    size_t columns_, classes_;
    std::vector<double> start_;
    double limit_;
    std::vector<Density> densities_;  // Column by column, a class after the other.
};

}  // namespace

void register_likelihoods(nb::module_& module) {
    nb::class_<Likelihoods>(module, "Likelihoods",
                            "Log-densities by column and class; any number of threads may use them at once.")
        .def(nb::init<Matrix<double>, Matrix<double>, Matrix<double>, Vector<double>, double>(), nb::kw_only(), nb::arg("top"), nb::arg("width"),
             nb::arg("mean"), nb::arg("start"), nb::arg("limit"))
        .def("classify", &Likelihoods::classify, nb::arg("columns"), nb::arg("tell"));
}
