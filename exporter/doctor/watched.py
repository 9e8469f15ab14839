"""Who is watched: the users that `discover` finds, those that `exclude` leaves out, and doubtful names. Pure.

No finding names a user. Configured users are numbered from 1 on, in the order of `users` and then `users_file`.
"""

from collections.abc import Iterator, Mapping, Sequence
from operator import attrgetter

from exporter.cloud.client import PAGE_SIZE
from exporter.cloud.errors import CloudError
from exporter.cloud.models import ListedSession, Session, UserPage
from exporter.cloud.models import User as Account
from exporter.config import Discover, Project, User
from exporter.config.names import domain_fit, folded, login_parts
from exporter.doctor.answers import size
from exporter.doctor.findings import ONE_USER, WATCHED, Finding, NotQueried, fail, ok, skip, warn
from exporter.fleet import best
from exporter.polling.discovery import Discovery, Filters
from exporter.polling.listings import USERS_A_PAGE
from exporter.wording import counted

Page = UserPage | CloudError | NotQueried

_MOST_SHOWN = 5  # numbers of users in a finding


def listings(project: Project) -> tuple[Filters, ...]:
    """Return the listings that tell who `discover` finds, and how many requests polling takes."""
    entries = [entry.filters for entry in project.discover]
    return tuple(dict.fromkeys([*entries, ()] if entries and project.users else entries))


def polled(project: Project) -> tuple[Filters, ...]:
    """Return the listings that polling reads: just the one of all users if an entry, or no entry, is about all."""
    discovery = Discovery()
    entries = dict.fromkeys(entry.filters for entry in project.discover)
    discovery.apply(tuple(entries), others=bool(project.users))
    return discovery.listings


def configured(project: Project) -> list[tuple[int, User]]:
    """Return the configured users that are not excluded, with their numbers."""
    users = enumerate(project.users, 1)
    return [(number, user) for number, user in users if not project.excludes(user.name, user.domain)]


def sample(project: Project, pages: Mapping[Filters, Page]) -> list[User]:
    """Return discovered users, up to a page for each entry."""
    found = (user for entry in project.discover for user in _users(pages[entry.filters]))
    return [
        User(user.user_name, user.id, user.domain)
        for user in found
        if user.user_name and user.id and not project.excludes(user.user_name, user.domain)
    ]


def findings(
    project: Project, pages: Mapping[Filters, Page], named: Sequence[tuple[int, User]], page: Page
) -> Iterator[Finding]:
    """Yield the findings about `discover`, `exclude` and the names of these users. The page lists these names."""
    for number, entry in enumerate(project.discover):
        yield _entry(f"discover[{number}]", entry, pages[entry.filters])
    if project.exclude:
        excluded, users = len(project.users) - len(configured(project)), len(project.users)
        patterns = f"exclude has {counted(len(project.exclude), 'pattern')}"
        applied = f", matching {excluded} of {counted(users, 'configured user')}" if users else ""
        yield ok(WATCHED, patterns + applied)
    yield from names(named, page)


def _entry(path: str, entry: Discover, page: Page) -> Finding:
    if not isinstance(page, UserPage):
        reason = page.reason if isinstance(page, NotQueried) else "see permission"
        return skip(WATCHED, f"{path}: not checked, {reason}")
    if matches := size(page):
        least = "at least " if page.total_count is None and matches in {PAGE_SIZE, USERS_A_PAGE} else ""
        return ok(WATCHED, f"{path} matches {least}{counted(matches, 'user')}")
    keys = [f"{path}.{key}" for key in Discover.model_fields if key != "all" and getattr(entry, key) is not None]
    exact = f"correct {' or '.join(keys)}: each must be exactly as in the cloud, including capitals"
    return warn(WATCHED, f"{path} matches no user", exact if keys else "check project_id and endpoints.users")


def nobody(project: Project, pages: Mapping[Filters, Page]) -> Finding:
    """Return the finding about a project without any user to check."""
    nothing = "so there is nothing to watch"
    if any(not isinstance(page, UserPage) for page in pages.values()):
        return skip(ONE_USER, "not checked, no user is known")
    if any(map(_users, pages.values())):
        return skip(ONE_USER, "not checked, the first users that discover finds are excluded")
    if project.discover:
        return fail(ONE_USER, f"discover finds no user, {nothing}", "correct discover, or add users to users")
    if project.users:
        return fail(ONE_USER, f"every configured user is excluded, {nothing}", "correct exclude")
    return fail(ONE_USER, f"no user is configured, {nothing}", "add users to users or users_file, or set discover")


def names(users: Sequence[tuple[int, User]], page: Page) -> Iterator[Finding]:
    """Yield what is doubtful about the names of configured users, according to a page of ListUsers for these names."""
    several, elsewhere, spelled, unknown = [], [], [], []
    whole = isinstance(page, UserPage) and size(page) <= len(page.users)
    for number, user in users:
        found = [] if user.id else _alike(user, page)
        name, domain = user.login
        exact = [account for account in found if account.user_name == name] or found
        if domain and found and not any(domain_fit(account.domain, domain) for account in found):
            elsewhere.append(number)
        elif not domain and len({account.domain for account in exact}) > 1:
            several.append(number)
        elif found and not any(account.user_name == name for account in found):
            spelled.append(number)
        elif whole and not found and not user.id:
            unknown.append(number)
    if unknown:
        text = f"{_exist(unknown, 'do')} not exist in the cloud"
        yield warn(WATCHED, text, "correct the name, or remove it; they count in users_missing")
    if several:
        yield warn(WATCHED, f"{_exist(several)} in several domains", "set domain, or write name@domain")
    if elsewhere:
        yield warn(WATCHED, f"{_exist(elsewhere)}, but not in the configured domain", "correct domain")
    if spelled:
        text = f"{_exist(spelled)} with other capitals only"
        yield warn(WATCHED, text, "write the name as the console shows it; until then the only such name is meant")


def id_of(user: User, page: Page) -> str | None:
    """Return the id of a user: the configured one, or that of the only account that name and domain mean."""
    meant = best(_alike(user, page), *user.login, attrgetter("domain"))
    return user.id or (meant.id if meant else None)


def sessions_of(user: User, listed: Sequence[ListedSession]) -> tuple[Session, ...]:
    """Return those sessions of a name that are in the user's domain."""
    _, domain = user.login
    return tuple(each.session for each in listed if domain_fit(login_parts(each.login_user or "")[1], domain))


def account_of(user: User, page: Page, detail: object) -> object:
    """Return what is known about the account of a user without an id; the detail is of an id that nobody has."""
    if not isinstance(page, UserPage):
        return NotQueried("see permission")
    if _alike(user, page):
        return NotQueried("because several accounts have this name; set domain")
    return detail if size(page) <= len(page.users) else NotQueried("because ListUsers finds too many similar names")


def _alike(user: User, page: Page) -> list[Account]:
    """Return the accounts on a page with the user's name in any case."""
    name = folded(user.login[0])
    return [account for account in _users(page) if folded(account.user_name or "") == name]


def _users(page: Page) -> Sequence[Account]:
    return page.users if isinstance(page, UserPage) else ()


def _exist(numbers: Sequence[int], verb: str = "exist") -> str:
    shown = ", ".join(map(str, numbers[:_MOST_SHOWN]))
    more = f" and {len(numbers) - _MOST_SHOWN} more" if len(numbers) > _MOST_SHOWN else ""
    if len(numbers) == 1:
        return f"configured user {shown} {'does' if verb == 'do' else 'exists'}"
    return f"configured users {shown}{more} {verb}"
