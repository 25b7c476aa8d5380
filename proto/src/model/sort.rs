//! What lists can be sorted by.

use super::closed_list::closed_list;

closed_list! {
    /// What a list of hosts is sorted by.
    HostsSort {
        /// The host's name; the case of ASCII letters does not matter.
        Name = 1, "name";
        /// The site, then the name.
        Site = 2, "site";
        /// The last check-in, the oldest first.
        LastSeen = 3, "last-seen";
        /// The lane under one order, the most urgent first, then the name.
        Lane = 4, "lane";
    }
}

closed_list! {
    /// What findings are sorted by within an order. Orders come by their due dates, the earliest first.
    FindingsSort {
        /// The lane, the most urgent first, then the host's name.
        Lane = 1, "lane";
        /// The host's name; the case of ASCII letters does not matter.
        Name = 2, "name";
        /// The site, then the name.
        Site = 3, "site";
        /// The last check-in, the oldest first.
        LastSeen = 4, "last-seen";
        /// Since when the host has been in its lane, the oldest first.
        Since = 5, "since";
    }
}

closed_list! {
    /// What changes of lanes are sorted by.
    #[derive(Default)]
    ChangesSort {
        /// The newest first.
        #[default]
        Newest = 1, "newest";
        /// The oldest first.
        Oldest = 2, "oldest";
    }
}
