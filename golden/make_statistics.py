"""Reference values for covary-study's statistics: golden/statistics.json.

    pip install numpy scipy statsmodels scikit-learn pandas
    python golden/make_statistics.py
"""

import json
import pathlib

import numpy as np
import pandas as pd
import scipy
import sklearn
import statsmodels
import statsmodels.formula.api as smf
from scipy import stats
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import brier_score_loss, roc_auc_score
from sklearn.preprocessing import StandardScaler
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower
from statsmodels.stats.proportion import proportion_confint

rng = np.random.default_rng(20240501)


def scores(variants, seeds, noise=0.01):
    seed_effect = rng.normal(0, 0.02, seeds)
    variant_effect = rng.normal(0, 0.02, variants)
    return 0.5 + variant_effect[:, None] + seed_effect + rng.normal(0, noise, (variants, seeds))


def paired(seeds):
    left, right = scores(2, seeds)
    test = stats.ttest_rel(left, right)
    interval = test.confidence_interval(0.95)
    return dict(left=left.tolist(), right=right.tolist(), difference=(left - right).mean(), p=test.pvalue,
                low=interval.low, high=interval.high, degrees_of_freedom=int(test.df))


def additive(variants, seeds):
    y = scores(variants, seeds)
    v, s = np.meshgrid(np.arange(variants), np.arange(seeds), indexing="ij")
    frame = pd.DataFrame(dict(y=y.ravel(), v=v.ravel(), s=s.ravel()))
    fit = smf.ols("y ~ C(v) + C(s)", frame).fit()
    names = [f"C(v)[T.{i}]" for i in range(1, variants)]
    intervals = fit.conf_int(0.05)
    raw = [fit.pvalues[n] for n in names]
    return dict(scores=y.tolist(), sigma=float(np.sqrt(fit.mse_resid)), degrees_of_freedom=float(fit.df_resid),
                difference=[fit.params[n] for n in names], standard_error=[fit.bse[n] for n in names], p=raw,
                low=[intervals.loc[n, 0] for n in names], high=[intervals.loc[n, 1] for n in names],
                holm=multipletests(raw, method="holm")[1].tolist())


def factorial(seeds):
    y = scores(4, seeds).reshape(2, 2, seeds)
    a, b, s = np.meshgrid([-0.5, 0.5], [-0.5, 0.5], np.arange(seeds), indexing="ij")
    frame = pd.DataFrame(dict(y=y.ravel(), a=a.ravel(), b=b.ravel(), s=s.ravel()))
    fit = smf.ols("y ~ a * b + C(s)", frame).fit()
    intervals = fit.conf_int(0.05)
    return dict(cells=y.tolist(), **{
        key: dict(value=fit.params[name], p=fit.pvalues[name], low=intervals.loc[name, 0], high=intervals.loc[name, 1])
        for key, name in [("a", "a"), ("b", "b"), ("interaction", "a:b")]})


def dunnett(m, df):
    # The multivariate t with correlation 1/2, integrated by nested quadrature independent of ours.
    from scipy.integrate import quad

    def inside(c):
        def over_z(u):
            f = lambda z: stats.norm.pdf(z) * (stats.norm.cdf(np.sqrt(2) * c * u + z) - stats.norm.cdf(-np.sqrt(2) * c * u + z)) ** m
            return quad(f, -9, 9, epsabs=1e-10)[0]
        density = lambda u: 2 * df * u * stats.chi2.pdf(df * u * u, df)
        return quad(lambda u: density(u) * over_z(u), 0, np.sqrt(stats.chi2.isf(1e-13, df) / df), epsabs=1e-8, limit=200)[0]

    from scipy.optimize import brentq
    low, high = stats.t.isf(0.025, df), stats.t.isf(0.025 / m, df)
    c = brentq(lambda c: inside(c) - 0.95, low, high * 1.0001, xtol=1e-6) if m > 1 else low
    # Agreement of the definition with SciPy's own multivariate t (quasi-Monte Carlo).
    if m > 1:
        shape = np.full((m, m), 0.5) + 0.5 * np.eye(m)
        t = stats.multivariate_t(shape=shape, df=df)
        own = t.cdf(np.full(m, c), lower_limit=np.full(m, -c), maxpts=400000, random_state=1)
        assert abs(own - 0.95) < 2e-3, own
    return dict(m=m, degrees_of_freedom=df, critical_value=c)


def power(effect, n):
    standard_error, df = 1 / np.sqrt(n), n - 1
    test = TTestPower()
    return dict(noncentrality=effect * np.sqrt(n), degrees_of_freedom=df, power=float(test.power(effect, n, 0.05)),
                standard_error=standard_error,
                detectable=float(test.solve_power(None, n, 0.05, 0.8)))


def pooled_power(noncentrality, df):
    critical = stats.t.isf(0.025, df)
    value = stats.nct.sf(critical, df, noncentrality) + stats.nct.cdf(-critical, df, noncentrality)
    return dict(noncentrality=noncentrality, degrees_of_freedom=df, power=float(value))


def rate(k, n):
    low, high = proportion_confint(k, n, 0.05, method="beta")
    return dict(k=k, n=n, low=0.0 if k == 0 else low, high=1.0 if k == n else high)


def ranks(n, ties):
    x = rng.normal(size=n)
    y = x + rng.normal(size=n)
    if ties:
        x, y = np.round(x), np.round(y)
    case = y + rng.normal(size=n) > 0
    case[0], case[1] = True, False
    p = stats.norm.cdf(x)
    return dict(x=x.tolist(), y=y.tolist(), case=case.tolist(), probability=p.tolist(),
                spearman=stats.spearmanr(x, y).statistic, area_under_roc=roc_auc_score(case, x), brier=brier_score_loss(case, p))


def models(n, separable):
    x = rng.normal(3, 2, n)
    case = (x > np.median(x)) if separable else (x + rng.normal(0, 3, n) > 3)
    case[np.argmin(x)], case[np.argmax(x)] = False, True
    y = 2 - 0.3 * x + rng.normal(0, 0.1, n)
    at = np.linspace(-2, 8, 5)
    scaler = StandardScaler().fit(x[:, None])
    logistic = LogisticRegression(C=1.0, tol=1e-12, max_iter=10000).fit(scaler.transform(x[:, None]), case)
    line = LinearRegression().fit(x[:, None], y)
    return dict(x=x.tolist(), y=y.tolist(), case=case.tolist(), at=at.tolist(),
                probability=logistic.predict_proba(scaler.transform(at[:, None]))[:, 1].tolist(),
                height=line.predict(at[:, None]).tolist())


cases = dict(
    made_by=f"golden/make_statistics.py with scipy {scipy.__version__}, statsmodels {statsmodels.__version__}, scikit-learn {sklearn.__version__}",
    paired=[paired(n) for n in (2, 3, 5, 10)],
    additive=[additive(v, s) for v, s in ((2, 3), (3, 2), (5, 3), (12, 5))],
    factorial=[factorial(n) for n in (2, 3, 6)],
    dunnett=[dunnett(m, df) for m, df in ((1, 4), (2, 2), (2, 4), (4, 8), (6, 12), (12, 24), (20, 100))],
    power=[power(e, n) for e in (0.5, 1.0) for n in (2, 3, 5, 20)],
    pooled_power=[pooled_power(d, df) for d in (0.0, 1.0, 2.5, 5.0) for df in (1, 2, 8, 30)],
    clopper_pearson=[rate(k, n) for k, n in ((0, 3), (1, 3), (3, 3), (2, 5), (7, 60), (0, 1), (1, 1))],
    ranks=[ranks(n, t) for n in (5, 30) for t in (False, True)],
    models=[models(n, s) for n in (6, 40) for s in (False, True)],
)
path = pathlib.Path(__file__).parent / "statistics.json"
path.write_text(json.dumps(cases, indent=1, default=float, allow_nan=False) + "\n")
print(path, path.stat().st_size)
